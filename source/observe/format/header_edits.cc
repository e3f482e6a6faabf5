// Compiling and applying header edits. See header_edits.h for threads.
#include "source/observe/format/header_edits.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_replace.h"
#include "source/base/strings.h"
#include "source/http/bytes.h"
#include "source/http/framing.h"

namespace sluice {
namespace {

using envoy::config::core::v3::HeaderValueOption;

// What the sessions write by themselves from what they know of the body and the connection: a
// second opinion smuggles requests.
bool IsFramingName(std::string_view name) {
  switch (FindHeaderId(name)) {
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
      return true;
    default:
      return false;
  }
}

std::string NameProblem(std::string_view lower_name) {
  if (lower_name.starts_with(':') || lower_name == "host") {
    return Cat("':'-prefixed and host headers cannot be changed here, got '", lower_name, "'");
  }
  if (!IsToken(lower_name)) return Cat("'", lower_name, "' is not a header name");
  return {};
}

}  // namespace

bool IsHeaderValue(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

void HeaderEdits::Add(const HeaderValueOption& option, const std::string& path,
                      config::Diagnostics& diagnostics) {
  Edit edit{Action::kAppend,  option.keep_empty_value(), ToLower(option.header().key()),
            HeaderId::kOther, option.header().value(),   std::nullopt};
  edit.id = FindHeaderId(edit.name);
  const std::string header_path = Cat(path, ".header");
  const std::string value_path = Cat(header_path, ".value");
  if (const std::string problem = NameProblem(edit.name); !problem.empty()) {
    return diagnostics.Error(Cat(header_path, ".key"), problem);
  }
  if (IsFramingName(edit.name)) {
    return diagnostics.Error(
        Cat(header_path, ".key"),
        Cat("'", edit.name, "' is decided by the proxy from the message itself"));
  }
  if (!IsHeaderValue(edit.value))
    return diagnostics.Error(value_path, "a header value cannot hold CR, LF or NUL");

  switch (option.append_action()) {
    case HeaderValueOption::ADD_IF_ABSENT:
      edit.action = Action::kAddIfAbsent;
      break;
    case HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD:
      edit.action = Action::kOverwrite;
      break;
    case HeaderValueOption::OVERWRITE_IF_EXISTS:
      edit.action = Action::kOverwriteIfExists;
      break;
    default:
      break;
  }
  if (option.has_append()) {
    if (option.append_action() != HeaderValueOption::APPEND_IF_EXISTS_OR_ADD) {
      return diagnostics.Error(Cat(path, ".append"), "append and append_action exclude each other");
    }
    edit.action = option.append().value() ? Action::kAppend : Action::kOverwrite;
  }

  std::string constant = absl::StrReplaceAll(edit.value, {{"%%", ""}});
  if (constant.find('%') == std::string::npos) {
    edit.value = absl::StrReplaceAll(edit.value, {{"%%", "%"}});
    edit.is_safe = HasNone<ControlBytes>(edit.value);
  } else {
    auto formatter = Formatter::FromText(
        edit.value, {.omit_empty_values = true, .escaping = Formatter::Escaping::kHeaderValue});
    if (!formatter.ok()) return diagnostics.Error(value_path, Std(formatter.status().message()));
    edit.formatter = *std::move(formatter);
  }
  edits_.push_back(std::move(edit));
}

void HeaderEdits::AddRemoval(std::string_view name, const std::string& path,
                             config::Diagnostics& diagnostics) {
  const std::string lower = ToLower(name);
  if (const std::string problem = NameProblem(lower); !problem.empty())
    return diagnostics.Error(path, problem);
  edits_.push_back(Edit{Action::kRemove, false, lower, FindHeaderId(lower), {}, std::nullopt});
}

HeaderEdits HeaderEdits::Build(const Options& add, const Names& remove, std::string_view path,
                               std::string_view add_field, std::string_view remove_field,
                               config::Diagnostics& diagnostics) {
  HeaderEdits edits;
  for (int i = 0; i < remove.size(); ++i) {
    edits.AddRemoval(remove[i], Cat(path, ".", remove_field, "[", i, "]"), diagnostics);
  }
  for (int i = 0; i < add.size(); ++i) {
    edits.Add(add[i], Cat(path, ".", add_field, "[", i, "]"), diagnostics);
  }
  edits.at_once_ = edits.IsOrdered();
  return edits;
}

HeaderEdits HeaderEdits::Build(const Mutations& mutations, std::string_view path,
                               config::Diagnostics& diagnostics) {
  HeaderEdits edits;
  for (int i = 0; i < mutations.size(); ++i) {
    const std::string element = Cat(path, "[", i, "]");
    if (mutations[i].has_append()) {
      edits.Add(mutations[i].append(), Cat(element, ".append"), diagnostics);
    } else {
      edits.AddRemoval(mutations[i].remove(), Cat(element, ".remove"), diagnostics);
    }
  }
  return edits;
}

bool HeaderEdits::IsOrdered() const {
  std::vector<std::string_view> names;
  bool formats = false;
  for (const Edit& edit : edits_) {
    if (edit.action == Action::kRemove) continue;
    formats |= edit.formatter.has_value();
    names.push_back(edit.name);
  }
  std::sort(names.begin(), names.end());
  const bool twice = std::adjacent_find(names.begin(), names.end()) != names.end();
  return names.size() > 1 && (formats || twice);
}

bool HeaderEdits::IsDue(const Edit& edit, std::string_view value, const Headers& headers) {
  if (value.empty() && !edit.keep_empty) return false;
  if (edit.action == Action::kAppend || edit.action == Action::kOverwrite) return true;
  return headers.Get(edit.name).has_value() == (edit.action == Action::kOverwriteIfExists);
}

void HeaderEdits::Write(const Edit& edit, std::string_view value, Headers& headers) {
  const bool replaces =
      edit.action == Action::kOverwrite || edit.action == Action::kOverwriteIfExists;
  if (edit.is_safe) {
    replaces ? headers.SetSafe(edit.id, edit.name, value)
             : headers.AddSafe(edit.id, edit.name, value);
  } else {
    replaces ? headers.Set(edit.name, value) : headers.AddCopy(edit.name, value);
  }
}

void HeaderEdits::Apply(Headers& headers, const Exchange& exchange) const {
  if (at_once_) return ApplyAtOnce(headers, exchange);
  std::string text;
  for (const Edit& edit : edits_) {
    if (edit.action == Action::kRemove) {
      headers.Remove(edit.name);
      continue;
    }
    std::string_view value = edit.value;
    if (edit.formatter.has_value()) {
      text.clear();
      edit.formatter->Format(LogContext{exchange}, &text);
      value = text;
    }
    if (IsDue(edit, value, headers)) Write(edit, value, headers);
  }
}

void HeaderEdits::ApplyAtOnce(Headers& headers, const Exchange& exchange) const {
  struct Due {
    const Edit* edit;
    size_t begin, end;  // of a formatted value in `text`
  };
  absl::InlinedVector<Due, 8> overwrites, additions;
  std::string text;
  for (const Edit& edit : edits_) {
    if (edit.action == Action::kRemove) {
      headers.Remove(edit.name);
      continue;
    }
    const size_t begin = text.size();
    if (edit.formatter.has_value()) edit.formatter->Format(LogContext{exchange}, &text);
    const std::string_view value =
        edit.formatter.has_value() ? std::string_view(text).substr(begin) : edit.value;
    if (!IsDue(edit, value, headers)) continue;
    const bool adds = edit.action == Action::kAppend || edit.action == Action::kAddIfAbsent;
    (adds ? additions : overwrites).push_back({&edit, begin, text.size()});
  }
  for (const auto* list : {&overwrites, &additions}) {
    for (const Due& due : *list) {
      const std::string_view formatted =
          std::string_view(text).substr(due.begin, due.end - due.begin);
      Write(*due.edit, due.edit->formatter.has_value() ? formatted : due.edit->value, headers);
    }
  }
}

void HeaderEdits::Apply(ResponseHead& response, Exchange& exchange) const {
  // Which response the client gets is known, and set, only when the session writes it.
  exchange.set_response_head(&response);
  Apply(response.headers, exchange);
  exchange.set_response_head(nullptr);
}

}  // namespace sluice
