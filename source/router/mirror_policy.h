// MirrorPolicy: to which other cluster copies of a route's requests go. Immutable, any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "source/config/runtime.h"
#include "source/observe/format/header_edits.h"

namespace sluice {

struct MirrorPolicy {
  std::string cluster;
  std::string cluster_header;  // in lower case; not empty: this request header names the cluster
  std::optional<config::RuntimeFraction> share;  // of the requests; unset: all
  bool marks_host = true;                        // "-shadow" is appended to the host's name
  std::string host;                              // host_rewrite_literal; empty: none
  std::shared_ptr<const HeaderEdits> edits;      // of the copy; null: none
};

}  // namespace sluice
