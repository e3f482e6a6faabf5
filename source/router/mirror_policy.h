// MirrorPolicy: to which other cluster copies of a route's requests go. Immutable, any thread.
#pragma once

#include <memory>
#include <string>

#include "source/observe/header_edits.h"

namespace sluice {

struct MirrorPolicy {
  std::string cluster;
  std::string cluster_header;  // in lower case; not empty: this request header names the cluster
  uint64_t numerator = 1;      // which share of the requests ...
  uint64_t denominator = 1;    // ... is copied
  bool marks_host = true;      // "-shadow" is appended to the host's name
  std::string host;            // host_rewrite_literal; empty: none
  std::shared_ptr<const HeaderEdits> edits;  // of the copy; null: none
};

}  // namespace sluice
