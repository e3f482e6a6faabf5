// The table of pages, and the way from a request to one of them. Main thread.
#include "source/server/admin/page.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice::admin {
namespace {

constexpr Page kPages[] = {
    {"/", "this page", HomePage},
    {"/allocprofiler", "there is none in this build", NoProfilerPage, true},
    {"/certs", "the certificates in use", CertsPage},
    {"/clusters", "clusters and their hosts", ClustersPage, false,
     "format: json; filter: a regular expression on names of clusters"},
    {"/config_dump", "the configuration in force, secrets left out", ConfigDumpPage, false,
     "resource: one list, such as static_clusters; mask: fields to show, such as cluster.name; "
     "name_regex: resources of these names; "
     "include_eds: also the endpoints"},
    {"/contention", "what mutexes cost: there is no tracing of it in this build", ContentionPage},
    {"/cpuprofiler", "there is none in this build", NoProfilerPage, true},
    {"/dns_cache", "hosts of the DNS caches, their addresses and failures", DnsCachePage, false,
     "format: json"},
    {"/dns_cache/flush", "forget hosts, so that they are looked up again", DnsCacheFlushPage, true,
     "cache: only of this cache; host: only this one, name or name:port"},
    {"/drain_listeners", "close the listeners", DrainListenersPage, true,
     "graceful: tell connections to end, close after the drain time; inboundonly: listeners whose "
     "traffic_direction is INBOUND; skip_exit: tell connections to end, close nothing"},
    {"/healthcheck/fail", "report that this proxy is not healthy", HealthFailPage, true},
    {"/healthcheck/ok", "report that this proxy is healthy again", HealthOkPage, true},
    {"/heap_dump", "there is none in this build", NoProfilerPage},
    {"/heapprofiler", "there is none in this build", NoProfilerPage, true},
    {"/help", "this list of commands", HelpPage},
    {"/hot_restart_version", "the version of hot restart: there is none", HotRestartVersionPage},
    {"/init_dump", "what the start still waits for", InitDumpPage},
    {"/listeners", "listeners and their addresses", ListenersPage, false, "format: json"},
    {"/logging", "show and set the levels of the log", LoggingPage, true,
     "level: of all components; paths: a:debug,b:trace; NAME: the level of one component"},
    {"/memory", "memory in use, in bytes", MemoryPage},
    {"/memory/tcmalloc", "there is no tcmalloc in this build", NoProfilerPage},
    {"/peak_heap_dump", "there is none in this build", NoProfilerPage},
    {"/quitquitquit", "end the process", QuitPage, true},
    {"/ready", "200 while the proxy serves, else 503", ReadyPage},
    {"/reopen_logs", "open the log files again", ReopenLogsPage, true},
    {"/reset_counters", "set all counters to 0", ResetCountersPage, true},
    {"/runtime", "runtime values, layer by layer", RuntimePage},
    {"/runtime_modify", "set runtime values of the admin layer", RuntimeModifyPage, true,
     "KEY: the value that this key gets; an empty one takes it back"},
    {"/server_info", "version, state, uptime and command line", ServerInfoPage},
    {"/stats", "statistics", StatsPage, false,
     "usedonly: only what was ever counted; filter: a regular expression on names; invert_filter: "
     "what the filter does not match; format: text, html, active-html, json or prometheus; hidden: "
     "only, include or exclude; type: Counters, Gauges, "
     "Histograms or TextReadouts; histogram_buckets: cumulative, disjoint, detailed or summary"},
    {"/stats/prometheus", "statistics for Prometheus", PrometheusPage, false,
     "usedonly: only what was ever counted; filter: a regular expression on names; invert_filter: "
     "what the filter does not match; text_readouts: also texts; histogram_buckets: cumulative, "
     "summary or none, which is summary; names: envoy, or prometheus, whose counters end in _total "
     "and whose times are in seconds"},
    {"/stats/recentlookups", "statistics that were looked up by name", RecentLookupsPage},
    {"/stats/recentlookups/clear", "forget the look-ups", RecordLookupsPage, true},
    {"/stats/recentlookups/disable", "stop recording look-ups", RecordLookupsPage, true},
    {"/stats/recentlookups/enable", "record look-ups from now on", RecordLookupsPage, true},
};

// As forms encode: '+' is a blank, unless it is written as an escape.
std::string Decode(std::string_view text) {
  std::string plain(text);
  std::replace(plain.begin(), plain.end(), '+', ' ');
  return PercentDecode(plain);
}

}  // namespace

std::string_view AdminRequest::Get(std::string_view name) const {
  const auto found = query.find(name);
  return found == query.end() ? std::string_view() : found->second;
}

void ParseQuery(std::string_view text, AdminRequest* request) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    request->query.emplace(Decode(pair.substr(0, equals)),
                           equals == pair.npos ? "" : Decode(pair.substr(equals + 1)));
  }
}

absl::Span<const Page> Pages() {
  return kPages;
}

AdminReply Answer(const AdminRequest& request, const AdminContext& context) {
  const auto page = std::find_if(std::begin(kPages), std::end(kPages),
                                 [&](const Page& page) { return page.path == request.path; });
  if (page == std::end(kPages)) return {404, "invalid path. " + CommandList()};
  if (page->post_only && request.method != "POST") {
    return {405, Cat("Method ", request.method, " not allowed, POST required.")};
  }
  return page->function(request, context);
}

}  // namespace sluice::admin
