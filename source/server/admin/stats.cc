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
  // No statistic here is hidden: what is asked for is none, by a pattern without a match.
  if (request.Get("hidden") == "only") {
    query.filter = "$.";
    query.invert_filter = false;
  }
  query.histogram_buckets = request.Get("histogram_buckets");
  query.names = request.Get("names");
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
  const std::string_view hidden = request.Get("hidden");
  if (hidden != "" && hidden != "include" && hidden != "only" && hidden != "exclude")
    return {400, "usage: /stats?hidden=(include|only|exclude)\n"};
  const bool html = format == "html" || format == "active-html";
  if (format != "" && format != "text" && format != "json" && !html)
    return {400, "usage: /stats?format=(html|active-html|json|prometheus|text)\n"};
  Refresh(context);
  const stats::StatsQuery query = QueryOf(request);
  if (format == "json") return ReplyOf(context.stats.StatsJson(query), kJson);
  absl::StatusOr<std::string> text = context.stats.StatsText(query);
  if (html && text.ok()) return {200, StatsHtml(request, *text), kHtml};
  return ReplyOf(std::move(text), kText);
}

AdminReply PrometheusPage(const AdminRequest& request, const AdminContext& context) {
  Refresh(context);
  return ReplyOf(context.stats.StatsPrometheus(QueryOf(request)), kText);
}

// A look-up is what happens when somebody asks for a metric by its name: while a configuration is
// loaded, and for names that only traffic makes. On the way of a request there should be none.
AdminReply RecentLookupsPage(const AdminRequest&, const AdminContext& context) {
  const stats::Store::LookUps found = context.stats.RecentLookUps();
  std::string text = found.recorded
                         ? "   Count Lookup\n"
                         : "Lookup tracking is not enabled. Use /stats/recentlookups/enable to "
                           "enable.\n";
  for (const auto& [name, count] : found.counts) {
    const std::string number = Cat(count);
    AppendTo(&text, std::string(8 - std::min<size_t>(number.size(), 8), ' '), number, " ", name,
             "\n");
  }
  AppendTo(&text, "\ntotal: ", found.total, "\n");
  return {200, std::move(text)};
}

AdminReply RecordLookupsPage(const AdminRequest& request, const AdminContext& context) {
  if (request.path.ends_with("/clear")) {
    context.stats.ForgetLookUps();
  } else {
    context.stats.RecordLookUps(request.path.ends_with("/enable"));
  }
  return {200, "OK\n"};
}

AdminReply ResetCountersPage(const AdminRequest&, const AdminContext& context) {
  context.stats.ResetCounters();
  return {200, "OK\n"};
}

}  // namespace sluice::admin
