// /stats for people with a browser: a form and the statistics, as they are or followed as they
// change. Self-contained: nothing is loaded from elsewhere. Main thread.
#include "source/base/strings.h"
#include "source/server/admin/page.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kHead =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<title>Sluice statistics</title>\n"
    "<style>body{font:16px sans-serif;margin:2em}form{margin-bottom:1em}"
    "label{margin-right:1.5em}pre{font-size:14px}</style>\n"
    "</head>\n<body>\n<h1>Statistics</h1>\n<form method=\"get\" action=\"stats\">\n";

// Asks for the same statistics as text, and puts what has changed most often first.
constexpr std::string_view kFollow = R"js(<script>
"use strict";
const list = document.getElementById("stats");
const query = new URLSearchParams(location.search);
query.set("format", "text");
const known = new Map();
function take(text) {
  for (const line of text.split("\n")) {
    const end = line.indexOf(": ");
    if (end < 0) continue;
    const name = line.slice(0, end);
    const one = known.get(name);
    if (one === undefined) known.set(name, {line: line, changes: 0});
    else if (one.line !== line) { one.line = line; one.changes += 1; }
  }
  const all = Array.from(known.values());
  all.sort((a, b) => b.changes - a.changes);
  list.textContent = all.map(one => one.line + "\n").join("");
}
async function follow() {
  try {
    const answer = await fetch("stats?" + query);
    if (answer.ok) take(await answer.text());
  } catch (error) {
    list.textContent = "The proxy does not answer: " + error;
  }
  setTimeout(follow, 2000);
}
take(list.textContent);
setTimeout(follow, 2000);
</script>
)js";

void AppendEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    switch (c) {
      case '&':
        out->append("&amp;");
        break;
      case '<':
        out->append("&lt;");
        break;
      case '>':
        out->append("&gt;");
        break;
      case '"':
        out->append("&quot;");
        break;
      case '\'':
        out->append("&#39;");
        break;
      default:
        out->push_back(c);
    }
  }
}

void AppendTextField(std::string_view name, std::string_view value, std::string* out) {
  AppendTo(out, "<label>", name, " <input name=\"", name, "\" value=\"");
  AppendEscaped(value, out);
  out->append("\"></label>\n");
}

void AppendCheckBox(std::string_view name, bool checked, std::string* out) {
  AppendTo(out, "<label><input type=\"checkbox\" name=\"", name, "\"", checked ? " checked" : "",
           "> ", name, "</label>\n");
}

template <size_t kSize>
void AppendChoice(std::string_view name, const std::string_view (&choices)[kSize],
                  std::string_view chosen, std::string* out) {
  AppendTo(out, "<label>", name, " <select name=\"", name, "\">");
  for (const std::string_view choice : choices) {
    AppendTo(out, "<option", choice == chosen ? " selected" : "", ">", choice, "</option>");
  }
  out->append("</select></label>\n");
}

}  // namespace

std::string StatsHtml(const AdminRequest& request, std::string_view statistics) {
  constexpr std::string_view kTypes[] = {"All", "Counters", "Gauges", "Histograms", "TextReadouts"};
  constexpr std::string_view kBuckets[] = {"summary", "cumulative", "disjoint", "detailed"};
  constexpr std::string_view kFormats[] = {"html", "active-html", "text", "json", "prometheus"};
  std::string html(kHead);
  AppendTextField("filter", request.Get("filter"), &html);
  AppendCheckBox("usedonly", request.Has("usedonly"), &html);
  AppendCheckBox("invert_filter", request.Has("invert_filter"), &html);
  AppendChoice("type", kTypes, request.Get("type"), &html);
  AppendChoice("histogram_buckets", kBuckets, request.Get("histogram_buckets"), &html);
  AppendChoice("format", kFormats, request.Get("format"), &html);
  html.append("<button>Show</button>\n</form>\n<pre id=\"stats\">\n");
  AppendEscaped(statistics, &html);
  html.append("</pre>\n");
  if (request.Get("format") == "active-html") html.append(kFollow);
  html.append("</body>\n</html>\n");
  return html;
}

}  // namespace sluice::admin
