// Tables for the names of fields and the classes of bytes: sixteen at a time they are what they are
// one by one.
#include "source/http/field_name.h"

#include <catch2/catch.hpp>

#include <string>

namespace sluice {
namespace {

// What a short name is, one letter after the other.
size_t Expected(const std::string& line) {
  size_t size = 0;
  while (size < 16 &&
         (IsTokenByte(line[size]) &&
          std::string_view("!#$%&'*+.^_`|~").find(line[size]) == std::string_view::npos))
    ++size;
  return size < 16 && line[size] == ':' ? size : 0;
}

TEST_CASE("a name is read at once as it is letter by letter", "[field_name]") {
  for (const header_table::Named& named : header_table::kNames) {
    for (const bool capitals : {false, true}) {
      std::string name(named.name);
      if (capitals) std::transform(name.begin(), name.end(), name.begin(), ::toupper);
      std::string line = name + ": VALUE and more of it\r\n";
      const std::string rest = line.substr(name.size());
      INFO(line);
      const FieldName found = ReadShortName(line.data());
      if (name.size() < 16) {
        REQUIRE(found.size == name.size());
        REQUIRE(found.id == named.id);
        REQUIRE(line == std::string(named.name) + rest);
      } else {
        REQUIRE(found.size == 0);
        REQUIRE(line == name + rest);
        bool odd = false;
        REQUIRE(ReadAnyName(line.data(), line.data() + line.size(), &odd).id == named.id);
      }
    }
  }
}

TEST_CASE("every byte at every place of a name is judged", "[field_name]") {
  for (const std::string name : {"content-length", "x-tenant", "te", "user-agent", "x"}) {
    for (size_t place = 0; place <= name.size(); ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string line = name + ":TheValue, of a Field\r\n";
        line[place] = static_cast<char>(byte);
        const std::string before = line;
        const size_t expected = Expected(line);
        const FieldName found = ReadShortName(line.data());
        INFO(before << " " << byte);
        REQUIRE(found.size == expected);
        std::string lower = before;
        std::transform(lower.begin(), lower.begin() + static_cast<ptrdiff_t>(expected),
                       lower.begin(), ::tolower);
        REQUIRE(line == lower);
        if (expected > 0) REQUIRE(found.id == FindHeaderId(lower.substr(0, expected)));
      }
    }
  }
}

template <class Class>
void CheckClass() {
  for (const size_t size : {1, 15, 16, 17, 31, 40}) {
    for (int byte = 0; byte < 256; ++byte) {
      for (size_t place = 0; place < size; ++place) {
        std::string text(size, 'a');
        text[place] = static_cast<char>(byte);
        const char* const end = text.data() + size;
        const char* const expected = Class::Is(static_cast<char>(byte)) ? text.data() + place : end;
        REQUIRE(FindFirst<Class>(text.data(), end) == expected);
      }
    }
  }
}

TEST_CASE("a class of bytes is the same one by one and sixteen at a time", "[bytes]") {
  CheckClass<ControlBytes>();
  CheckClass<UnsafeBytes<>>();
  CheckClass<UnsafeBytes<'\\', '#'>>();
  CheckClass<AnyOf<'%', '\\', '.'>>();
  CheckClass<AnyOf<'#', '\0'>>();
}

}  // namespace
}  // namespace sluice
