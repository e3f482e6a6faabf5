// The main() of every Catch2 unit test, compiled once. It runs before any thread of a test exists
// and reports to the console and, under Bazel, as JUnit XML where Bazel asks for it.
#define CATCH_CONFIG_RUNNER
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace {

// The XML is the only report when Bazel asks for one: a second run for the console would double the
// time. The failures are printed from the XML, with the name of each test case.
int RunForBazel(int argc, char* argv[], const std::string& xml_path) {
  std::vector<std::string> arguments(argv, argv + argc);
  arguments.insert(arguments.end(), {"--reporter", "junit", "--out", xml_path});
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  const int code = Catch::Session().run(static_cast<int>(pointers.size()), pointers.data());
  if (code != 0) {
    std::ifstream report(xml_path);
    std::string line;
    bool inside = false;
    while (std::getline(report, line)) {
      inside = inside || line.find("<failure") != std::string::npos ||
               line.find("<error ") != std::string::npos;
      if (inside || line.find("<testcase") != std::string::npos) {
        std::fprintf(stderr, "%s\n", line.c_str());
      }
      if (line.find("</failure>") != std::string::npos ||
          line.find("</error>") != std::string::npos) {
        inside = false;
      }
    }
  }
  return code;
}

}  // namespace

int main(int argc, char* argv[]) {
  // A reporter given by hand wins, and a plain run from a shell prints to the console.
  const char* xml_path = std::getenv("XML_OUTPUT_FILE");
  if (xml_path != nullptr && *xml_path != '\0' && argc == 1) {
    return RunForBazel(argc, argv, xml_path);
  }
  return Catch::Session().run(argc, argv);
}
