// From an exchange on the admin's listener to a page and back. Main thread.
#include "source/server/admin/admin.h"

#include <algorithm>
#include <utility>

#include "source/base/log.h"
#include "source/base/strings.h"
#include "source/http/reply.h"
#include "source/net/address.h"
#include "source/server/admin/page.h"

namespace sluice::admin {
namespace {

constexpr size_t kMaxForm = 64 * 1024;
constexpr std::string_view kAfterName = "sluice.admin.after";
constexpr std::string_view kDetails = "admin_filter_response";

// What is to be done once the reply has left; lives with its exchange.
class After final : public FilterStateObject {
 public:
  explicit After(std::function<void()> run) : run_(std::move(run)) {}
  std::string ToString() const override { return "after"; }
  void Run() const { run_(); }

 private:
  const std::function<void()> run_;
};

// Without the port and the brackets of IPv6.
std::string_view HostName(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool IsLocalName(std::string_view host) {
  std::string_view name = HostName(host);
  if (Address::Ip(name, 0).ok()) return true;
  if (name.ends_with('.')) name.remove_suffix(1);
  return name.find('.') == name.npos ||
         EqualsIgnoreCase(name.substr(name.rfind('.') + 1), "localhost");
}

Response ToResponse(AdminReply reply) {
  Response response{std::make_unique<ResponseHead>(reply.status), TextBody(std::move(reply.body)),
                    nullptr};
  Headers& headers = response.head->headers;
  headers.Add(HeaderId::kContentType, reply.content_type);
  headers.Add(HeaderId::kCacheControl, "no-cache, max-age=0");
  headers.Add(HeaderId::kOther, "x-content-type-options", "nosniff");
  // The index has buttons that change things: nobody may lay it under something else.
  if (reply.content_type == kHtml) headers.Add(HeaderId::kOther, "x-frame-options", "DENY");
  if (reply.status == 405) headers.Add(HeaderId::kOther, "allow", "POST");
  return response;
}

bool IsForm(const RequestHead& head) {
  const auto type = head.headers.Get(HeaderId::kContentType);
  return head.method == "POST" && type &&
         EqualsIgnoreCase(Trim(type->substr(0, type->find(';'))),
                          "application/x-www-form-urlencoded");
}

stats::Scope ScopeOf(const stats::Scope& parent) {
  return parent.Sub("http").Sub("admin", stats::tag::kHttpConnManagerPrefix);
}

std::string_view WhyNot(const RequestHead& head, const Exchange& exchange) {
  return RefusalOf(head.method, head.authority, head.headers.Get(HeaderId::kOrigin),
                   exchange.connection().local.is_loopback());
}

}  // namespace

std::string_view RefusalOf(std::string_view method, std::string_view host,
                           std::optional<std::string_view> origin, bool on_loopback) {
  if (on_loopback && !host.empty() && !IsLocalName(host)) {
    return "This admin listens on a loopback address: ask for it by an IP address, as localhost, "
           "or by a name without a dot.\n";
  }
  if (method == "GET" || method == "HEAD" || !origin) return {};
  const size_t scheme = origin->find("://");
  const bool same = scheme != origin->npos && EqualsIgnoreCase(origin->substr(scheme + 3), host);
  return same ? std::string_view() : "The Origin of this request is not this admin.\n";
}

Admin::Admin(AdminContext context, std::vector<std::shared_ptr<const AccessLogger>> access_logs,
             std::vector<StringMatcher> allow_paths)
    : context_(std::move(context)),
      access_logs_(std::move(access_logs)),
      allow_paths_(std::move(allow_paths)),
      stats_(ScopeOf(context_.stats.Root())),
      on_listener_(ScopeOf(context_.stats.Root().Sub("listener").Sub("admin"))) {}

Admin::~Admin() = default;

bool Admin::MayAsk(std::string_view path) const {
  return allow_paths_.empty() ||
         std::any_of(allow_paths_.begin(), allow_paths_.end(),
                     [&](const StringMatcher& allowed) { return allowed.Matches(path); });
}

Task<Response> Admin::OnRequest(Request request, Exchange& exchange) const {
  stats_.downstream_rq_total.Add();
  stats_.downstream_rq_active.Add();
  const RequestHead& head = *request.head;
  exchange.set_details(kDetails);
  if (const std::string_view refusal = WhyNot(head, exchange); !refusal.empty()) {
    SLUICE_LOG(kWarning, kAdmin, "refused ", head.method, " ", head.PathOnly(), " from ",
               exchange.connection().direct_remote().ToString(), ": ",
               refusal.substr(0, refusal.size() - 1));
    co_return ToResponse({403, std::string(refusal)});
  }

  if (!MayAsk(head.path))
    co_return ToResponse({403, Cat("request to path ", head.path, " not allowed\n")});

  AdminRequest page_request;
  page_request.method = head.method;
  page_request.path = head.PathOnly();
  const size_t question = head.path.find('?');
  if (question != head.path.npos) ParseQuery(head.path.substr(question + 1), &page_request);
  if (IsForm(head)) {
    const auto form = co_await ReadAll(request.body.get(), kMaxForm);
    if (!form.ok()) co_return ErrorReply(form.status(), exchange);
    ParseQuery(*form, &page_request);
  }
  SLUICE_LOG(kDebug, kAdmin, page_request.method, " ", page_request.path);
  AdminReply reply = Answer(page_request, context_);
  if (reply.after)
    exchange.set_filter_state(kAfterName, std::make_shared<After>(std::move(reply.after)));
  co_return ToResponse(std::move(reply));
}

Response Admin::OnBadRequest(const HeadResult& result, Exchange& exchange) const {
  stats_.downstream_rq_total.Add();
  exchange.Note(ResponseFlag::kDownstreamProtocolError);
  exchange.set_details(result.details);
  return ToResponse({result.status, std::string(result.body)});
}

void Admin::OnComplete(Exchange& exchange) const {
  if (exchange.request_head() != nullptr && !exchange.head_refused)
    stats_.downstream_rq_active.Sub();
  if (exchange.response_head() != nullptr) {
    stats_.completed.Count(exchange.response_head()->status);
    on_listener_.Count(exchange.response_head()->status);
  }
  for (const auto& log : access_logs_) log->Log(LogContext{exchange});
  const FilterStateObject* after = exchange.filter_state(kAfterName);
  if (after != nullptr) static_cast<const After*>(after)->Run();
}

}  // namespace sluice::admin
