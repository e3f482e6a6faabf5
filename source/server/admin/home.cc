// The admin's index, for people with a browser, and its list of commands. Pure but for the table of
// pages.
#include "source/base/strings.h"
#include "source/server/admin/page.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kHead =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Sluice "
    "admin</title>\n"
    "<style>body{font:16px sans-serif;margin:2em}table{border-collapse:collapse}td{padding:.3em "
    "1em .3em 0;vertical-align:top}"
    "tr+tr{border-top:1px solid "
    "#ddd}form{margin:0}small{color:#555}</style>\n</head>\n<body>\n<h1>Sluice "
    "admin</h1>\n<table>\n";

// "name: what; name: what", one call per part.
template <class Visitor>
void ForEachParameter(std::string_view parameters, Visitor visit) {
  while (!parameters.empty()) {
    const std::string_view one = parameters.substr(0, parameters.find("; "));
    parameters.remove_prefix(std::min(one.size() + 2, parameters.size()));
    visit(one);
  }
}

// Paths are relative, so that the page also works behind a prefix.
void AppendRow(const Page& page, std::string* out) {
  const std::string_view name = page.path.substr(1);
  out->append("<tr><td>");
  if (page.post_only) {
    AppendTo(out, "<form action=\"", name, "\" method=\"post\"><button>", name, "</button></form>");
  } else {
    AppendTo(out, "<a href=\"", name.empty() ? "." : name, "\">", name.empty() ? "/" : name,
             "</a>");
  }
  AppendTo(out, "</td><td>", page.help);
  ForEachParameter(page.parameters,
                   [&](std::string_view one) { AppendTo(out, "<br><small>?", one, "</small>"); });
  out->append("</td></tr>\n");
}

}  // namespace

std::string CommandList() {
  std::string list = "admin commands are:\n";
  for (const Page& page : Pages()) {
    AppendTo(&list, "  ", page.path, page.post_only ? " (POST)" : "", ": ", page.help, "\n");
    ForEachParameter(page.parameters,
                     [&](std::string_view one) { AppendTo(&list, "      ", one, "\n"); });
  }
  return list;
}

AdminReply HelpPage(const AdminRequest&, const AdminContext&) {
  return {200, CommandList()};
}

AdminReply HomePage(const AdminRequest&, const AdminContext&) {
  std::string html(kHead);
  for (const Page& page : Pages()) AppendRow(page, &html);
  html.append("</table>\n</body>\n</html>\n");
  return {200, std::move(html), kHtml};
}

}  // namespace sluice::admin
