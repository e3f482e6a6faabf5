// Loading, watching and changing of the runtime. Main thread.
#include "source/server/runtime_loader.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "source/async/scope.h"
#include "source/base/log.h"
#include "source/base/strings.h"
#include "source/config/runtime_layers.h"

namespace sluice {
namespace {

constexpr Duration kWatchInterval = std::chrono::milliseconds(250);

stats::Scope ScopeOf(stats::Store& store) {
  return store.Root().Sub("runtime");
}

}  // namespace

RuntimeLoader::RuntimeLoader(stats::Store& store)
    : load_success_(ScopeOf(store).counter("load_success")),
      load_error_(ScopeOf(store).counter("load_error")),
      override_dir_exists_(ScopeOf(store).counter("override_dir_exists")),
      override_dir_not_exists_(ScopeOf(store).counter("override_dir_not_exists")),
      deprecated_feature_use_(ScopeOf(store).counter("deprecated_feature_use")),
      num_keys_(ScopeOf(store).gauge("num_keys")),
      num_layers_(ScopeOf(store).gauge("num_layers")),
      admin_overrides_active_(ScopeOf(store).gauge("admin_overrides_active")),
      deprecated_feature_seen_since_process_start_(
          ScopeOf(store).gauge("deprecated_feature_seen_since_process_start")) {}

void RuntimeLoader::Load(const envoy::config::bootstrap::v3::LayeredRuntime& config,
                         std::string service_cluster, config::Diagnostics& diagnostics) {
  config_ = &config;
  service_cluster_ = std::move(service_cluster);
  CheckNames(diagnostics);
  for (int i = 0; i < config.layers_size(); ++i) {
    const std::string path = Cat("layered_runtime.layers[", i, "]");
    const Layer& layer = config.layers(i);
    config::RuntimeLayer scratch;
    if (layer.has_static_layer()) {
      const absl::Status read = config::ReadStaticLayer(layer.static_layer(), &scratch);
      if (!read.ok()) diagnostics.Error(path + ".static_layer", Std(read.message()));
    } else if (layer.has_disk_layer() && layer.disk_layer().append_service_cluster() &&
               service_cluster_.empty()) {
      diagnostics.Error(path + ".disk_layer.append_service_cluster",
                        "needs a service cluster: set node.cluster or --service-cluster");
    }
  }
  marks_ = Marks();
  Reload();
}

void RuntimeLoader::CheckNames(config::Diagnostics& diagnostics) const {
  bool admin = false;
  for (int i = 0; i < config_->layers_size(); ++i) {
    const Layer& layer = config_->layers(i);
    const std::string path = Cat("layered_runtime.layers[", i, "]");
    for (int j = 0; j < i; ++j) {
      if (config_->layers(j).name() == layer.name())
        diagnostics.Error(path + ".name", Cat("Duplicate layer name: ", layer.name()));
    }
    if (layer.has_admin_layer() && std::exchange(admin, true)) {
      diagnostics.Error(path + ".admin_layer",
                        "Too many admin layers specified in LayeredRuntime, at most one may be "
                        "specified");
    }
  }
}

void RuntimeLoader::WarnOfUnread(config::Diagnostics& diagnostics) const {
  const std::vector<std::string> unread = runtime_.UnreadKeys();
  for (size_t i = 0; i < runtime_.layers().size(); ++i) {
    for (int j = 0; j < config_->layers_size(); ++j) {
      const Layer& layer = config_->layers(j);
      if (!layer.has_static_layer() || layer.name() != runtime_.layers()[i].name) continue;
      for (const std::string& key : unread) {
        if (runtime_.layers()[i].values.contains(key)) {
          diagnostics.Warning(Cat("layered_runtime.layers[", j, "].static_layer"),
                              Cat("nothing reads the key ", config::Quoted(key)));
        }
      }
    }
  }
}

std::string RuntimeLoader::DirectoryOf(const Layer::DiskLayer& layer) const {
  std::string path = Cat(layer.symlink_root(), "/", layer.subdirectory());
  if (layer.append_service_cluster()) AppendTo(&path, "/", service_cluster_);
  return path;
}

void RuntimeLoader::Reload() {
  std::vector<config::RuntimeLayer> layers;
  bool failed = false;
  int on_disk = 0;
  for (const Layer& config : config_->layers()) {
    config::RuntimeLayer layer{config.name(), {}};
    absl::Status read;
    if (config.has_static_layer()) {
      read = config::ReadStaticLayer(config.static_layer(), &layer);
    } else if (config.has_disk_layer()) {
      read = config::ReadDiskLayer(DirectoryOf(config.disk_layer()), &layer);
      if (absl::IsNotFound(read)) continue;
      on_disk += read.ok();
    } else {
      layer.values = admin_.values;
    }
    if (!read.ok()) {
      failed = true;
      SLUICE_LOG(kWarning, kRuntime, "layer '", config.name(),
                 "' is left out: ", Std(read.message()));
      continue;
    }
    layers.push_back(std::move(layer));
  }
  (failed ? load_error_ : load_success_).Add();
  // What Envoy counts under these names: whether several disk layers stand over one another.
  (on_disk > 1 ? override_dir_exists_ : override_dir_not_exists_).Add();
  num_layers_.Set(static_cast<int64_t>(layers.size()));
  admin_overrides_active_.Set(!admin_.values.empty());
  runtime_.Publish(std::move(layers));
  num_keys_.Set(static_cast<int64_t>(runtime_.keys()));
  if (on_change_) on_change_();
}

std::vector<RuntimeLoader::Mark> RuntimeLoader::Marks() const {
  std::vector<Mark> marks;
  for (const Layer& layer : config_->layers()) {
    if (!layer.has_disk_layer()) continue;
    const std::string& root = layer.disk_layer().symlink_root();
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(root, error).string();
    struct stat file{};
    if (::lstat(root.c_str(), &file) != 0) {
      marks.emplace_back();
      continue;
    }
    marks.push_back(Cat(target, "\n", file.st_dev, " ", file.st_ino, " ", file.st_ctim.tv_sec, " ",
                        file.st_ctim.tv_nsec));
  }
  return marks;
}

Task<> RuntimeLoader::Watch() {
  if (marks_.empty()) co_return;
  while (co_await Sleep(kWatchInterval)) {
    std::vector<Mark> now = Marks();
    if (now == marks_) continue;
    marks_ = std::move(now);
    SLUICE_LOG(kInfo, kRuntime, "a disk layer has changed: loading the runtime again");
    Reload();
  }
}

absl::Status RuntimeLoader::Modify(const std::map<std::string, std::string, std::less<>>& values) {
  const auto& layers = config_->layers();
  if (std::none_of(layers.begin(), layers.end(),
                   [](const Layer& layer) { return layer.has_admin_layer(); })) {
    return absl::FailedPreconditionError("No admin layer specified");
  }
  // All or nothing.
  for (const auto& [key, value] : values) {
    if (value.find("numerator") != value.npos && !config::ParseRuntimeValue(value).fraction)
      return absl::InvalidArgumentError(Cat(key, ": cannot be read as a fraction: ", value));
  }
  for (const auto& [key, value] : values) {
    if (value.empty()) {
      admin_.values.erase(key);
    } else {
      admin_.values.insert_or_assign(key, config::ParseRuntimeValue(value));
    }
  }
  Reload();
  return absl::OkStatus();
}

}  // namespace sluice
