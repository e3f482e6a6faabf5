// RuntimeLoader: fills the runtime from Bootstrap.layered_runtime, and again whenever a disk layer
// is replaced or the admin changes a value. Main thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "source/async/task.h"
#include "source/config/diagnostics.h"
#include "source/config/runtime.h"
#include "source/observe/stats/stats.h"

namespace sluice {

class RuntimeLoader {
 public:
  /// Counts as runtime.* in `store`. Empty until Load().
  explicit RuntimeLoader(stats::Store& store);

  /// Loads the layers for the first time; what is wrong with them goes to `diagnostics`. A disk
  /// layer whose directory is absent is no problem (it may appear), one that cannot be read is a
  /// warning. `config` outlives the loader. `service_cluster` is for append_service_cluster.
  void Load(const envoy::config::bootstrap::v3::LayeredRuntime& config, std::string service_cluster,
            config::Diagnostics& diagnostics);
  /// Warns of keys of static layers that nothing reads. After everything was built.
  void WarnOfUnread(config::Diagnostics& diagnostics) const;

  /// `call` is called after each change of values, from now on.
  void OnChange(std::function<void()> call) { on_change_ = std::move(call); }

  /// Watches the disk layers, until the worker that runs it ends. At most one at a time.
  Task<> Watch();

  /// POST /runtime_modify: sets values of the admin layer; an empty one takes its key back.
  /// FailedPrecondition when there is no admin layer, InvalidArgument for a fraction that cannot be
  /// read; nothing is changed then.
  absl::Status Modify(const std::map<std::string, std::string, std::less<>>& values);

  config::Runtime& runtime() { return runtime_; }
  const config::Runtime& runtime() const { return runtime_; }

 private:
  using Layer = envoy::config::bootstrap::v3::RuntimeLayer;
  // Tells one state of a path from another: what a symbolic link names, and which file it is.
  using Mark = std::string;

  void Reload();
  void CheckNames(config::Diagnostics& diagnostics) const;
  std::string DirectoryOf(const Layer::DiskLayer& layer) const;
  std::vector<Mark> Marks() const;

  config::Runtime runtime_;
  const Counter load_success_, load_error_, override_dir_exists_, override_dir_not_exists_,
      deprecated_feature_use_;
  const Gauge num_keys_, num_layers_, admin_overrides_active_,
      deprecated_feature_seen_since_process_start_;
  const envoy::config::bootstrap::v3::LayeredRuntime* config_ = nullptr;
  std::string service_cluster_;
  config::RuntimeLayer admin_;
  std::vector<Mark> marks_;
  std::function<void()> on_change_;
};

}  // namespace sluice
