// The monitors that there are. Main thread.
#include "source/server/overload/resource_monitor.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>

#include "absl/strings/numbers.h"
#include "api/envoy/extensions/resource_monitors/cgroup_memory/v3/cgroup_memory.pb.h"
#include "api/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"
#include "api/envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap.pb.h"
#include "api/envoy/extensions/resource_monitors/injected_resource/v3/injected_resource.pb.h"
#include "api/sluice/overload/v1/file_descriptors.pb.h"
#include "source/base/strings.h"
#include "source/config/diagnostics.h"

namespace sluice {
namespace {

namespace monitors = envoy::extensions::resource_monitors;
using Monitor = std::unique_ptr<ResourceMonitor>;

absl::Status CannotRead(std::string_view path) {
  return absl::UnavailableError(Cat("cannot read '", path, "'"));
}

// The one whole number that a file of the system holds; nothing when it cannot be read or says
// something else ("max").
std::optional<uint64_t> ReadNumber(const std::string& path) {
  uint64_t number = 0;
  if (!(std::ifstream(path) >> number)) return std::nullopt;
  return number;
}

class FixedHeap final : public ResourceMonitor {
 public:
  explicit FixedHeap(uint64_t limit) : limit_(limit) {}
  absl::StatusOr<double> Pressure() override {
    uint64_t size = 0;
    uint64_t resident = 0;
    if (!(std::ifstream("/proc/self/statm") >> size >> resident))
      return CannotRead("/proc/self/statm");
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) /
           static_cast<double>(limit_);
  }

 private:
  const uint64_t limit_;
};

class Connections final : public ResourceMonitor {
 public:
  Connections(int64_t limit, std::function<int64_t()> open)
      : limit_(limit), open_(std::move(open)) {}
  absl::StatusOr<double> Pressure() override {
    return static_cast<double>(open_()) / static_cast<double>(limit_);
  }

 private:
  const int64_t limit_;
  const std::function<int64_t()> open_;
};

class Descriptors final : public ResourceMonitor {
 public:
  explicit Descriptors(uint64_t limit) : limit_(limit) {}
  absl::StatusOr<double> Pressure() override {
    rlimit system{};
    if (::getrlimit(RLIMIT_NOFILE, &system) != 0) return CannotRead("RLIMIT_NOFILE");
    const uint64_t limit =
        limit_ == 0 ? system.rlim_cur : std::min<uint64_t>(limit_, system.rlim_cur);
    return static_cast<double>(Open()) / static_cast<double>(std::max<uint64_t>(limit, 1));
  }

 private:
  static uint64_t Open() {
    // Since Linux 6.2 the size of the folder is their number; before that it is 0.
    struct stat folder{};
    if (::stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
      return static_cast<uint64_t>(folder.st_size);
    std::error_code error;
    uint64_t count = 0;
    for (std::filesystem::directory_iterator file("/proc/self/fd", error), end;
         !error && file != end; file.increment(error)) {
      ++count;
    }
    // Without a descriptor left the folder cannot be opened.
    return error ? std::numeric_limits<uint64_t>::max() : count;
  }
  const uint64_t limit_;
};

class Injected final : public ResourceMonitor {
 public:
  explicit Injected(std::string path) : path_(std::move(path)) {}
  absl::StatusOr<double> Pressure() override {
    std::string text;
    double pressure = 0;
    if (!(std::ifstream(path_) >> text)) return CannotRead(path_);
    if (!absl::SimpleAtod(text, &pressure) || !(pressure >= 0 && pressure <= 1))
      return absl::UnavailableError(Cat("'", path_, "' holds no number from 0 to 1"));
    return pressure;
  }

 private:
  const std::string path_;
};

class ControlGroup final : public ResourceMonitor {
 public:
  explicit ControlGroup(uint64_t limit) : limit_(limit) {}
  absl::StatusOr<double> Pressure() override {
    // Version 2 first, then version 1, each as seen from inside a container.
    constexpr const char* kFiles[][2] = {
        {"/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.max"},
        {"/sys/fs/cgroup/memory/memory.usage_in_bytes",
         "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
    };
    for (const auto& [usage_file, limit_file] : kFiles) {
      const auto usage = ReadNumber(usage_file);
      if (!usage.has_value()) continue;
      uint64_t limit = ReadNumber(limit_file).value_or(std::numeric_limits<uint64_t>::max());
      if (limit_ != 0) limit = std::min(limit, limit_);
      return static_cast<double>(*usage) / static_cast<double>(std::max<uint64_t>(limit, 1));
    }
    return absl::UnavailableError("this process has no control group that counts its memory");
  }

 private:
  const uint64_t limit_;
};

Monitor Make(const monitors::fixed_heap::v3::FixedHeapConfig& config, const MonitorContext&) {
  return std::make_unique<FixedHeap>(config.max_heap_size_bytes());
}
Monitor Make(const monitors::downstream_connections::v3::DownstreamConnectionsConfig& config,
             const MonitorContext& context) {
  context.limit_connections(config.max_active_downstream_connections());
  return std::make_unique<Connections>(config.max_active_downstream_connections(),
                                       context.connections);
}
Monitor Make(const overload::v1::FileDescriptorsConfig& config, const MonitorContext&) {
  return std::make_unique<Descriptors>(config.max_descriptors());
}
Monitor Make(const monitors::injected_resource::v3::InjectedResourceConfig& config,
             const MonitorContext&) {
  return std::make_unique<Injected>(config.filename());
}
Monitor Make(const monitors::cgroup_memory::v3::CgroupMemoryConfig& config, const MonitorContext&) {
  return std::make_unique<ControlGroup>(config.max_memory_bytes());
}

struct Kind {
  std::string_view name;
  std::string type;
  absl::StatusOr<Monitor> (*make)(const google::protobuf::Any&, const MonitorContext&);
};

template <class Proto>
Kind KindOf(std::string_view name) {
  return {name, Proto::descriptor()->full_name(),
          [](const google::protobuf::Any& any,
             const MonitorContext& context) -> absl::StatusOr<Monitor> {
            Proto config;
            if (!any.value().empty() && !any.UnpackTo(&config))
              return Invalid("does not hold a ", Proto::descriptor()->full_name());
            return Make(config, context);
          }};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ResourceMonitor>> MakeResourceMonitor(
    const envoy::config::overload::v3::ResourceMonitor& config, const MonitorContext& context) {
  const Kind kinds[] = {
      KindOf<monitors::fixed_heap::v3::FixedHeapConfig>("envoy.resource_monitors.fixed_heap"),
      KindOf<monitors::downstream_connections::v3::DownstreamConnectionsConfig>(
          "envoy.resource_monitors.global_downstream_max_connections"),
      KindOf<overload::v1::FileDescriptorsConfig>("sluice.resource_monitors.file_descriptors"),
      KindOf<monitors::injected_resource::v3::InjectedResourceConfig>(
          "envoy.resource_monitors.injected_resource"),
      KindOf<monitors::cgroup_memory::v3::CgroupMemoryConfig>(
          "envoy.resource_monitors.cgroup_memory"),
  };
  const std::string_view url = config.typed_config().type_url();
  const std::string_view type = url.substr(url.rfind('/') + 1);
  for (const Kind& kind : kinds) {
    if (type.empty() ? kind.name == config.name() : kind.type == type)
      return kind.make(config.typed_config(), context);
  }
  return Invalid(sluice::config::NotRegistered(config.name(), url));
}

}  // namespace sluice
