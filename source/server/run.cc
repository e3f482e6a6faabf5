// From arguments to a running server. Main thread.
#include "source/server/run.h"

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <random>

#include "source/base/log.h"
#include "source/config/loader.h"
#include "source/config/options.h"
#include "source/server/server.h"
#include "source/server/version.h"

namespace sluice {
namespace {

// As many descriptors as the system lets this user have: an egress proxy lives on them.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string_view SourceName(const config::Options& options) {
  return options.config_path.empty() ? "--config-yaml" : std::string_view(options.config_path);
}

int Fail(const config::Options& options, const config::Diagnostics& diagnostics) {
  std::fprintf(stderr, "%serror initializing configuration '%s'\n",
               (diagnostics.ToString() + "\n").c_str(), std::string(SourceName(options)).c_str());
  return 1;
}

int Serve(const config::Options& options, const Registry& registry) {
  config::Diagnostics diagnostics;
  config::LoadOptions load;
  load.config_path = options.config_path;
  load.config_yaml = options.config_yaml;
  const auto bootstrap = config::LoadBootstrap(load, diagnostics);
  if (bootstrap == nullptr) return Fail(options, diagnostics);
  Server server(options, *bootstrap, registry, diagnostics);
  if (!server.Build()) return Fail(options, diagnostics);
  if (diagnostics.warnings() > 0) std::fprintf(stderr, "%s\n", diagnostics.ToString().c_str());
  if (options.mode == config::Mode::kValidate) {
    std::printf("configuration '%s' OK\n", std::string(SourceName(options)).c_str());
    return 0;
  }
  return server.Run();
}

}  // namespace

int RunSluice(int argc, char** argv, const std::function<void(Registry&)>& register_extensions) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto options = config::ParseOptions(std::vector<std::string_view>(argv + 1, argv + argc));
  if (!options.ok()) {
    std::fprintf(stderr, "%s\n", std::string(options.status().message()).c_str());
    return 1;
  }
  if (options->help || options->version || options->hot_restart_version) {
    std::printf("%s\n", options->help      ? config::HelpText().c_str()
                        : options->version ? VersionText().c_str()
                                           : "disabled");
    return 0;
  }
  if (options->config_path.empty() && options->config_yaml.empty()) {
    std::fprintf(stderr,
                 "At least one of --config-path or --config-yaml must be given; try --help\n");
    return 1;
  }
  RaiseDescriptorLimit();
  const absl::Status logging =
      ConfigureLog({options->log_level, options->component_log_level, options->log_path,
                    options->log_format, options->log_format_escaped});
  if (!logging.ok()) {
    std::fprintf(stderr, "%s\n", std::string(logging.message()).c_str());
    return 1;
  }
  Registry registry;
  register_extensions(registry);
  return Serve(*options, registry);
}

}  // namespace sluice
