// Local replies: local_reply_config of a connection manager, which changes the status, headers and
// body of what the proxy itself answers. Immutable; used on the workers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "source/config/diagnostics.h"
#include "source/config/runtime.h"
#include "source/http/exchange.h"
#include "source/observe/access_log/access_log.h"
#include "source/observe/format/formatter.h"
#include "source/observe/format/header_edits.h"

namespace sluice {

class LocalReplies {
 public:
  using Config = envoy::extensions::filters::network::http_connection_manager::v3::LocalReplyConfig;

  /// Problems are reported at and below `path`.
  static std::shared_ptr<const LocalReplies> Build(const Config& config, const std::string& path,
                                                   config::Diagnostics& diagnostics,
                                                   config::Runtime* runtime);

  /// Changes a local reply whose body is `body`; exchange.local_reply_body() becomes the new one
  /// before it is formatted (%LOCAL_REPLY_BODY%).
  void Rewrite(Response& response, std::string_view body, Exchange& exchange) const;

 private:
  struct BodyFormat {
    Formatter formatter;
    std::string content_type;
  };
  struct Mapper {
    AccessLogFilterPtr filter;
    std::optional<int> status;
    std::optional<std::string> body;
    HeaderEdits headers;
    std::optional<BodyFormat> format;
  };
  static BodyFormat BuildFormat(const envoy::config::core::v3::SubstitutionFormatString& config,
                                const std::string& path, config::Diagnostics& diagnostics);

  std::vector<Mapper> mappers_;
  std::optional<BodyFormat> format_;  // unless the mapper has its own
};

}  // namespace sluice
