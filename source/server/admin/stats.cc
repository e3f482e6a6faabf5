// /stats and what belongs to it. Main thread.
#include "source/base/strings.h"
#include "source/server/admin/page.h"

namespace sluice::admin {
namespace {

stats::StatsQuery QueryOf(const AdminRequest& request) {
  stats::StatsQuery query;
  query.used_only = request.Has("usedonly");
  query.text_readouts = request.Has("text_readouts");
  query.filter = request.Get("filter");
  query.invert_filter = request.Has("invert_filter");
  if (request.Has("type")) query.type = request.Get("type");
  query.histogram_buckets = request.Get("histogram_buckets");
  return query;
}

AdminReply ReplyOf(absl::StatusOr<std::string> text, std::string_view content_type) {
  if (!text.ok()) return {400, Cat(Std(text.status().message()), "\n")};
  return {200, *std::move(text), content_type};
}

void Refresh(const AdminContext& context) {
  context.refresh_gauges();
  if (context.bootstrap.stats_flush_on_admin()) context.stats.Flush();
}

}  // namespace

AdminReply StatsPage(const AdminRequest& request, const AdminContext& context) {
  const std::string_view format = request.Get("format");
  if (format == "prometheus") return PrometheusPage(request, context);
  if (format != "" && format != "text" && format != "json")
    return {400, "usage: /stats?format=(json|prometheus|text)\n"};
  Refresh(context);
  const stats::StatsQuery query = QueryOf(request);
  if (format == "json") return ReplyOf(context.stats.StatsJson(query), kJson);
  return ReplyOf(context.stats.StatsText(query), kText);
}

AdminReply PrometheusPage(const AdminRequest& request, const AdminContext& context) {
  Refresh(context);
  return ReplyOf(context.stats.StatsPrometheus(QueryOf(request)), kText);
}

AdminReply ResetCountersPage(const AdminRequest&, const AdminContext& context) {
  context.stats.ResetCounters();
  return {200, "OK\n"};
}

}  // namespace sluice::admin
