// Rewriting local replies. Built on the main thread, used on the workers.
#include "source/server/hcm/local_reply.h"

#include "source/base/strings.h"
#include "source/config/data_source.h"
#include "source/http/reply.h"
#include "source/observe/access_log/access_log_config.h"
#include "source/observe/format/formatter_config.h"

namespace sluice {

LocalReplies::BodyFormat LocalReplies::BuildFormat(
    const envoy::config::core::v3::SubstitutionFormatString& config, const std::string& path,
    config::Diagnostics& diagnostics) {
  BodyFormat format{
      BuildFormatter(config, path, diagnostics, {.escaping = Formatter::Escaping::kNone}),
      config.content_type()};
  if (format.content_type.empty())
    format.content_type = format.formatter.is_json() ? "application/json" : "text/plain";
  return format;
}

std::shared_ptr<const LocalReplies> LocalReplies::Build(const Config& config,
                                                        const std::string& path,
                                                        config::Diagnostics& diagnostics,
                                                        config::Runtime* runtime) {
  auto made = std::make_shared<LocalReplies>();
  for (int i = 0; i < config.mappers_size(); ++i) {
    const auto& mapper = config.mappers(i);
    const std::string element = config::ElementPath(config::ChildPath(path, "mappers"), i);
    auto filter = BuildAccessLogFilter(mapper.filter(), config::ChildPath(element, "filter"),
                                       diagnostics, runtime);
    if (filter == nullptr) continue;  // Its problem is reported.
    Mapper& out = made->mappers_.emplace_back();
    out.filter = std::move(filter);
    if (mapper.has_status_code()) out.status = static_cast<int>(mapper.status_code().value());
    if (mapper.has_body())
      out.body =
          config::ReadDataSource(mapper.body(), config::ChildPath(element, "body"), diagnostics);
    out.headers =
        HeaderEdits::Build(mapper.headers_to_add(), {}, element, "headers_to_add", "", diagnostics);
    if (mapper.has_body_format_override()) {
      out.format = BuildFormat(mapper.body_format_override(),
                               config::ChildPath(element, "body_format_override"), diagnostics);
    }
  }
  if (config.has_body_format())
    made->format_ =
        BuildFormat(config.body_format(), config::ChildPath(path, "body_format"), diagnostics);
  return made;
}

void LocalReplies::Rewrite(Response& response, std::string_view body, Exchange& exchange) const {
  exchange.set_response_head(response.head.get());
  exchange.set_local_reply_body(body);
  const BodyFormat* format = format_.has_value() ? &*format_ : nullptr;
  bool changed = false;
  for (const Mapper& mapper : mappers_) {
    if (!mapper.filter->Matches(LogContext{exchange})) continue;
    if (mapper.body.has_value()) exchange.set_local_reply_body(*mapper.body);
    changed = mapper.body.has_value();
    mapper.headers.Apply(response.head->headers, exchange);
    if (mapper.status.has_value()) response.head->status = *mapper.status;
    if (mapper.format.has_value()) format = &*mapper.format;
    break;
  }
  std::string text(exchange.local_reply_body());
  if (format != nullptr) {
    text.clear();
    format->formatter.Format(LogContext{exchange}, &text);
    if (format->formatter.is_json()) text += '\n';  // As Envoy ends it.
  }
  if (format != nullptr || changed) {
    response.head->headers.Remove(HeaderId::kContentType);
    if (!text.empty()) {
      response.head->headers.AddCopy(HeaderId::kContentType, format == nullptr
                                                                 ? std::string_view("text/plain")
                                                                 : format->content_type);
    }
  }
  exchange.set_response_head(nullptr);
  // The body that was is read already.
  const RequestHead* request = exchange.request_head();
  if (request != nullptr && !exchange.head_refused && request->is_grpc())
    return MakeGrpc(response, text, exchange);
  response.body = TextBody(std::move(text));
}

}  // namespace sluice
