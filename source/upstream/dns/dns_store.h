// DnsStore: the file in which the addresses of a DNS cache outlive the process. Main thread; the
// file is small and is written as a whole, under another name first.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "source/base/clock.h"
#include "source/net/resolver.h"

namespace sluice {

class DnsStore {
 public:
  struct Options {
    std::string filename;
    Duration flush_interval = std::chrono::seconds(30);  // zero: every change is written at once
    size_t max_entries = 1000;                           // zero: no limit
  };
  /// A host as it was when it was last looked up.
  struct Host {
    std::vector<AddressWithTtl> addresses;
    int64_t resolved_at = 0;  // seconds since 1970
  };

  /// Reads the file; none, or one that is damaged, is empty (what of it can be read counts).
  explicit DnsStore(Options options);
  /// Writes what is not written yet.
  ~DnsStore();
  DnsStore(const DnsStore&) = delete;
  DnsStore& operator=(const DnsStore&) = delete;

  const Options& options() const { return options_; }
  const std::map<std::string, Host>& hosts() const { return hosts_; }

  /// Remembers a host under its key ("name:port"); beyond max_entries the one that was looked up
  /// longest ago goes.
  void Put(const std::string& key, Host host);
  void Remove(const std::string& key);

  /// Writes the file if something changed. Unavailable with the system's words; it is tried again
  /// with the next flush.
  absl::Status Flush();

  /// The file's text, in Envoy's format: each key and each value behind its length and a line end.
  static std::string Print(const std::map<std::string, Host>& hosts);
  static std::map<std::string, Host> Parse(std::string_view text);

 private:
  const Options options_;
  std::map<std::string, Host> hosts_;
  bool changed_ = false;
};

}  // namespace sluice
