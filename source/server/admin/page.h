// Page: one path of the admin, a function from a request to a reply. Main thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "source/server/admin/context.h"

namespace sluice::admin {

inline constexpr std::string_view kText = "text/plain; charset=UTF-8";
inline constexpr std::string_view kHtml = "text/html; charset=UTF-8";
inline constexpr std::string_view kJson = "application/json";

struct AdminRequest {
  std::string method;
  std::string path;  // without the query
  /// Decoded; of a repeated name the first counts. A name without '=' has the value "".
  std::map<std::string, std::string, std::less<>> query;

  bool Has(std::string_view name) const { return query.contains(name); }
  /// "" when it is absent.
  std::string_view Get(std::string_view name) const;
};

/// Adds the parameters of `text` (application/x-www-form-urlencoded: %41 and + are decoded; a '%'
/// without two hexadecimal digits stands for itself).
void ParseQuery(std::string_view text, AdminRequest* request);

struct AdminReply {
  int status = 200;
  std::string body;
  std::string_view content_type = kText;  // a constant
  /// Run once the reply has been written, or could not be.
  std::function<void()> after = {};
};

using PageFunction = AdminReply (*)(const AdminRequest&, const AdminContext&);

struct Page {
  std::string_view path;
  std::string_view help;
  PageFunction function;
  bool post_only = false;  // it changes something
  std::string_view parameters =
      {};  // what the query may say, for the help: "name: what; name: what"
};

/// All pages, sorted by path.
absl::Span<const Page> Pages();

/// The reply to any request: finds the page; 404 with the list of commands, 405 for a page that
/// wants POST.
AdminReply Answer(const AdminRequest& request, const AdminContext& context);

// home.cc
AdminReply HomePage(const AdminRequest& request, const AdminContext& context);
AdminReply HelpPage(const AdminRequest& request, const AdminContext& context);
/// "admin commands are:" and a line for each.
std::string CommandList();
// stats.cc
AdminReply StatsPage(const AdminRequest& request, const AdminContext& context);
/// The page of ?format=html and active-html around `statistics`, as they are in text.
std::string StatsHtml(const AdminRequest& request, std::string_view statistics);  // stats_html.cc
AdminReply PrometheusPage(const AdminRequest& request, const AdminContext& context);
AdminReply ResetCountersPage(const AdminRequest& request, const AdminContext& context);
AdminReply RecentLookupsPage(const AdminRequest& request, const AdminContext& context);
AdminReply RecordLookupsPage(const AdminRequest& request, const AdminContext& context);
// clusters.cc
AdminReply ClustersPage(const AdminRequest& request, const AdminContext& context);
// listeners.cc
AdminReply ListenersPage(const AdminRequest& request, const AdminContext& context);
// dns_cache.cc
AdminReply DnsCachePage(const AdminRequest& request, const AdminContext& context);
AdminReply DnsCacheFlushPage(const AdminRequest& request, const AdminContext& context);
// config_dump.cc
AdminReply ConfigDumpPage(const AdminRequest& request, const AdminContext& context);
// server_info.cc
AdminReply ReadyPage(const AdminRequest& request, const AdminContext& context);
AdminReply ServerInfoPage(const AdminRequest& request, const AdminContext& context);
AdminReply MemoryPage(const AdminRequest& request, const AdminContext& context);
AdminReply CertsPage(const AdminRequest& request, const AdminContext& context);
AdminReply HotRestartVersionPage(const AdminRequest& request, const AdminContext& context);
AdminReply InitDumpPage(const AdminRequest& request, const AdminContext& context);
// runtime.cc
AdminReply RuntimePage(const AdminRequest& request, const AdminContext& context);
AdminReply RuntimeModifyPage(const AdminRequest& request, const AdminContext& context);
// logging.cc
AdminReply LoggingPage(const AdminRequest& request, const AdminContext& context);
AdminReply ReopenLogsPage(const AdminRequest& request, const AdminContext& context);
// control.cc
AdminReply QuitPage(const AdminRequest& request, const AdminContext& context);
AdminReply HealthFailPage(const AdminRequest& request, const AdminContext& context);
AdminReply HealthOkPage(const AdminRequest& request, const AdminContext& context);
AdminReply DrainListenersPage(const AdminRequest& request, const AdminContext& context);
AdminReply ContentionPage(const AdminRequest& request, const AdminContext& context);
AdminReply NoProfilerPage(const AdminRequest& request, const AdminContext& context);

}  // namespace sluice::admin
