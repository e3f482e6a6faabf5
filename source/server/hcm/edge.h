// The edge: who the client is, and which headers of a request may be believed. Envoy's rules for
// use_remote_address, xff_num_trusted_hops and internal_address_config. Pure functions over a head,
// any thread.
#pragma once

#include <string>
#include <vector>

#include "source/async/worker.h"
#include "source/http/message.h"
#include "source/net/address.h"
#include "source/net/address_range.h"
#include "source/server/hcm/client_address.h"

namespace sluice {

struct EdgeSettings {
  bool use_remote_address = false;
  uint32_t xff_num_trusted_hops = 0;
  bool skip_xff_append = false;
  bool append_x_forwarded_port = false;
  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool unix_sockets_are_internal = false;
  AddressMatcher internal_ranges;           // empty: no IP address is internal
  std::vector<ClientDetection> detections;  // in place of the two first; empty: none
  std::string via;
};

/// The n-th address from the right (0: the last) of an X-Forwarded-For value; unset when there is
/// none or it is no address.
Address ForwardedAddress(std::string_view forwarded_for, size_t n);

/// Decides who the client is, cleans the headers that only this proxy may set, and adds ours:
/// x-forwarded-for, x-forwarded-proto, x-forwarded-port, x-envoy-external-address or
/// x-envoy-internal, x-request-id, via. The scheme is that of an x-forwarded-proto that is
/// believed. Returns the client's address.
Address ApplyEdge(const EdgeSettings& settings, const Address& peer, const Address& local,
                  bool is_tls, Rng& rng, RequestHead& head);

}  // namespace sluice
