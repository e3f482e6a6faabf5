// Operators that print the request, the response and their bytes. Stateless, any thread.
#include <algorithm>
#include <optional>

#include "source/base/strings.h"
#include "source/http/reply.h"
#include "source/observe/format/formatter.h"
#include "source/observe/format/operators.h"
#include "source/observe/match/match.h"

namespace sluice::format_internal {
namespace {

// --- Headers: X or X?Y ---

absl::Status CompileHeader(const std::string_view* argument, Operator* op) {
  if (argument == nullptr || argument->empty()) {
    return Invalid("takes the name of a header");
  }
  const size_t mark = argument->find('?');
  op->text = ToLower(argument->substr(0, mark));
  if (mark != std::string_view::npos) {
    op->alternative = ToLower(argument->substr(mark + 1));
    if (op->alternative.empty()) {
      return Invalid("'", *argument, "': no header behind '?'");
    }
  }
  if (op->text.empty() || op->alternative.find('?') != std::string::npos) {
    return Invalid("takes NAME or NAME?OTHER, not '", *argument, "'");
  }
  op->id = FindHeaderId(op->text);
  op->alternative_id = FindHeaderId(op->alternative);
  return absl::OkStatus();
}

// A head has no field for what is a pseudo header; its Get() knows those by name.
template <class Head>
std::optional<std::string_view> Find(Head& head, HeaderId id, const std::string& name) {
  if (id != HeaderId::kOther && id != HeaderId::kHost) return head.headers.Get(id);
  std::optional<std::string_view> value = head.Get(name);
  if (value.has_value() && value->empty() && name[0] == ':') value.reset();
  return value;
}

template <class Head>
std::optional<std::string_view> FindEither(const Operator& op, Head* head) {
  if (head == nullptr) return std::nullopt;
  const std::optional<std::string_view> first = Find(*head, op.id, op.text);
  return !first.has_value() && !op.alternative.empty()
             ? Find(*head, op.alternative_id, op.alternative)
             : first;
}

// An empty header is there, as in Envoy: the empty text, and no reason for an alternative.
Rendered AppendHeader(const std::optional<std::string_view>& value, std::string* out) {
  if (!value.has_value()) return Rendered::kMissing;
  out->append(*value);
  return Rendered::kString;
}

// What a client logs in with at this proxy is nobody else's: of such a value only the scheme shows,
// and nothing of one that has no blank behind its scheme.
constexpr std::string_view kSecret = "proxy-authorization";
constexpr int kMayBeSecret = 1;

absl::Status CompileRequestHeader(const std::string_view* argument, Operator* op) {
  const absl::Status status = CompileHeader(argument, op);
  if (op->text == kSecret || op->alternative == kSecret) op->option = kMayBeSecret;
  return status;
}

Rendered RequestHeader(const Operator& op, const LogContext& context, std::string* out) {
  RequestHead* head = context.exchange.request_head();
  std::optional<std::string_view> value = FindEither(op, head);
  if (op.option != kMayBeSecret || !value.has_value() || value->empty())
    return AppendHeader(value, out);
  const bool is_first = Find(*head, op.id, op.text).has_value();
  if ((is_first ? op.text : op.alternative) == kSecret) {
    const size_t blank = value->find_first_of(" \t");
    value = blank == std::string_view::npos ? "?" : value->substr(0, blank);
  }
  return AppendHeader(value, out);
}

Rendered ResponseHeader(const Operator& op, const LogContext& context, std::string* out) {
  return AppendHeader(FindEither(op, context.exchange.response_head()), out);
}

Rendered ResponseTrailer(const Operator& op, const LogContext& context, std::string* out) {
  const Headers* trailers = context.exchange.response_trailers();
  if (trailers == nullptr) {
    return Rendered::kMissing;
  }
  std::optional<std::string_view> value = trailers->Get(std::string_view(op.text));
  if (!value.has_value() && !op.alternative.empty())
    value = trailers->Get(std::string_view(op.alternative));
  return AppendHeader(value, out);
}

Rendered RequestWithoutQuery(const Operator& op, const LogContext& context, std::string* out) {
  const size_t start = out->size();
  const Rendered rendered = RequestHeader(op, context, out);
  out->resize(std::min(out->find('?', start), out->size()));
  return out->size() == start ? Rendered::kMissing : rendered;
}

// --- The path: PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH) ---

constexpr int kWithoutQuery = 1;
constexpr int kOriginalOrPath = 0;
constexpr int kOriginal = 1;
constexpr int kPath = 2;

absl::Status CompilePath(const std::string_view* argument, Operator* op) {
  const std::string_view text = argument == nullptr ? "" : *argument;
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view query = text.substr(0, colon);
  const std::string_view which = colon == text.size() ? "ORIG_OR_PATH" : text.substr(colon + 1);
  if (!query.empty() && query != "WQ" && query != "NQ") {
    return Invalid("takes WQ or NQ first, not '", query, "'");
  }
  op->option = query == "NQ" ? kWithoutQuery : 0;
  if (which == "ORIG") {
    op->option2 = kOriginal;
  } else if (which == "PATH") {
    op->option2 = kPath;
  } else if (which != "ORIG_OR_PATH") {
    return Invalid("takes ORIG, PATH or ORIG_OR_PATH second, not '", which, "'");
  }
  return absl::OkStatus();
}

Rendered Path(const Operator& op, const LogContext& context, std::string* out) {
  const RequestHead* head = context.exchange.request_head();
  if (head == nullptr) {
    return Rendered::kMissing;
  }
  std::string_view path;
  if (op.option2 != kPath) {
    path = head->headers.Get(HeaderId::kXEnvoyOriginalPath).value_or(std::string_view());
  }
  if (op.option2 == kPath || (op.option2 == kOriginalOrPath && path.empty())) {
    path = head->path;
  }
  return AppendText(op.option == kWithoutQuery ? path.substr(0, path.find('?')) : path, out);
}

std::string_view Query(const LogContext& context) {
  const RequestHead* head = context.exchange.request_head();
  const size_t mark = head == nullptr ? std::string_view::npos : head->path.find('?');
  return mark == std::string_view::npos ? std::string_view() : head->path.substr(mark + 1);
}

absl::Status CompileQueryParameter(const std::string_view* argument, Operator* op) {
  if (argument == nullptr || argument->empty()) {
    return Invalid("takes the name of a query parameter");
  }
  op->text = *argument;
  return absl::OkStatus();
}

Rendered QueryParam(const Operator& op, const LogContext& context, std::string* out) {
  const RequestHead* head = context.exchange.request_head();
  const auto value = head == nullptr ? std::nullopt : QueryParameter(head->path, op.text);
  if (!value.has_value()) return Rendered::kMissing;
  out->append(PercentDecode(*value));
  return Rendered::kString;
}

absl::Status CompileQueryParameters(const std::string_view* argument, Operator*) {
  const bool plain = argument == nullptr || argument->empty() || *argument == "ORIG";
  return plain ? absl::OkStatus() : Invalid("takes ORIG; '", *argument, "' is not supported yet");
}

Rendered QueryParameters(const Operator&, const LogContext& context, std::string* out) {
  return AppendText(Query(context), out);
}

// --- The outcome ---

Rendered Protocol(const Operator&, const LogContext& context, std::string* out) {
  const RequestHead* head = context.exchange.request_head();
  if (head != nullptr) return AppendText(ToString(head->version), out);
  const std::optional<HttpVersion>& version = context.exchange.connection_version;
  return version.has_value() ? AppendText(ToString(*version), out) : Rendered::kMissing;
}

Rendered UpstreamProtocol(const Operator&, const LogContext& context, std::string* out) {
  // Tunnels that end here, and TCP proxies, speak none.
  const bool asked = context.exchange.time.upstream_first_sent != TimePoint{} &&
                     context.exchange.request_head() != nullptr;
  return asked ? AppendText(ToString(context.exchange.upstream.version), out) : Rendered::kMissing;
}

Rendered ResponseCode(const Operator&, const LogContext& context, std::string* out) {
  const ResponseHead* head = context.exchange.response_head();
  return AppendNumber(head == nullptr ? 0 : static_cast<uint64_t>(head->status), out);
}

// Blanks become underscores, so that columns stay columns; ALLOW_WHITESPACES keeps them.
constexpr int kKeepBlanks = 1;

absl::Status CompileDetails(const std::string_view* argument, Operator* op) {
  if (argument != nullptr && !argument->empty() && *argument != "ALLOW_WHITESPACES") {
    return Invalid("takes ALLOW_WHITESPACES or nothing, not '", *argument, "'");
  }
  op->option = argument != nullptr && !argument->empty() ? kKeepBlanks : 0;
  return absl::OkStatus();
}

Rendered Details(const Operator& op, const LogContext& context, std::string* out) {
  const size_t start = out->size();
  const Rendered rendered = AppendText(context.exchange.details(), out);
  if (op.option != kKeepBlanks) {
    std::replace_if(
        out->begin() + static_cast<std::ptrdiff_t>(start), out->end(),
        [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }, '_');
  }
  return rendered;
}

Rendered Flags(const LogContext& context, std::string_view ResponseFlagName::* name,
               std::string* out) {
  const ResponseFlags& flags = context.exchange.flags();
  if (flags.empty()) out->push_back('-');
  for (size_t i = 0; i < flags.size(); ++i)
    out->append(i == 0 ? "" : ",").append(NameOf(flags[i]).*name);
  return Rendered::kString;
}

Rendered ShortFlags(const Operator&, const LogContext& context, std::string* out) {
  return Flags(context, &ResponseFlagName::short_name, out);
}

Rendered LongFlags(const Operator&, const LogContext& context, std::string* out) {
  return Flags(context, &ResponseFlagName::long_name, out);
}

constexpr std::string_view kGrpcCamel[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};
constexpr std::string_view kGrpcSnake[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};
enum GrpcForm { kCamel, kSnake, kNumber };

absl::Status CompileGrpc(const std::string_view* argument, Operator* op) {
  const std::string form = argument == nullptr ? "" : ToLower(*argument);
  if (!form.empty() && form != "camel_string" && form != "snake_string" && form != "number") {
    return Invalid("takes CAMEL_STRING, SNAKE_STRING or NUMBER, not '", *argument, "'");
  }
  op->option = form == "snake_string" ? kSnake : form == "number" ? kNumber : kCamel;
  return absl::OkStatus();
}

absl::Status CompileGrpcNumber(const std::string_view* argument, Operator* op) {
  op->option = kNumber;
  return argument == nullptr || argument->empty() ? absl::OkStatus() : Invalid("takes no argument");
}

Rendered GrpcStatus(const Operator& op, const LogContext& context, std::string* out) {
  const RequestHead* head = context.exchange.request_head();
  const auto number =
      head != nullptr && head->is_grpc() ? GrpcStatusOf(context.exchange) : std::nullopt;
  if (!number.has_value()) {
    return Rendered::kMissing;
  }
  if (op.option == kNumber || *number >= std::size(kGrpcCamel)) {
    return AppendNumber(*number, out);
  }
  return AppendText((op.option == kSnake ? kGrpcSnake : kGrpcCamel)[*number], out);
}

Rendered TrailerBytes(const Operator&, const LogContext& context, std::string* out) {
  uint64_t size = 0;
  if (const Headers* trailers = context.exchange.response_trailers(); trailers != nullptr) {
    for (const Header& header : *trailers) {
      size += header.name.size() + header.value.size();
    }
  }
  return AppendNumber(size, out);
}

template <uint64_t ByteMeter::* kMember>
Rendered Bytes(const Operator&, const LogContext& context, std::string* out) {
  return AppendNumber(context.exchange.bytes.*kMember, out);
}

// Of a tunnel of HTTP the wires' meters have the heads; what it moves is counted once, as bodies.
template <uint64_t ByteMeter::* kWire, uint64_t ByteMeter::* kMoved>
Rendered WireBytes(const Operator&, const LogContext& context, std::string* out) {
  const Exchange& exchange = context.exchange;
  const bool tunnel = exchange.tunnel_established && exchange.request_head() != nullptr;
  return AppendNumber(exchange.bytes.*kWire + (tunnel ? exchange.bytes.*kMoved : 0), out);
}

Rendered TerminationDetails(const Operator&, const LogContext& c, std::string* out) {
  return AppendText(c.exchange.termination_details(), out);
}
Rendered LocalReplyBody(const Operator&, const LogContext& c, std::string* out) {
  out->append(c.exchange.local_reply_body());
  return Rendered::kString;  // an answer of the origin's: the empty text, not a dash
}

}  // namespace

absl::Span<const OperatorType> ExchangeOperators() {
  static constexpr OperatorType kOperators[] = {
      {"REQ", CompileRequestHeader, RequestHeader, true},
      {"REQUEST_HEADER", CompileRequestHeader, RequestHeader, true},
      {"RESP", CompileHeader, ResponseHeader, true},
      {"RESPONSE_HEADER", CompileHeader, ResponseHeader, true},
      {"TRAILER", CompileHeader, ResponseTrailer, true},
      {"RESPONSE_TRAILER", CompileHeader, ResponseTrailer, true},
      {"REQ_WITHOUT_QUERY", CompileRequestHeader, RequestWithoutQuery, true},
      {"PATH", CompilePath, Path, true},
      {"QUERY_PARAM", CompileQueryParameter, QueryParam, true},
      {"QUERY_PARAMS", CompileQueryParameters, QueryParameters, true},
      {"PROTOCOL", nullptr, Protocol, true},
      {"UPSTREAM_PROTOCOL", nullptr, UpstreamProtocol, true},
      {"RESPONSE_CODE", nullptr, ResponseCode, false},
      {"RESPONSE_CODE_DETAILS", CompileDetails, Details, true},
      {"CONNECTION_TERMINATION_DETAILS", nullptr, TerminationDetails, true},
      {"RESPONSE_FLAGS", nullptr, ShortFlags, true},
      {"RESPONSE_FLAGS_LONG", nullptr, LongFlags, true},
      {"GRPC_STATUS", CompileGrpc, GrpcStatus, true},
      {"GRPC_STATUS_NUMBER", CompileGrpcNumber, GrpcStatus, false},
      {"LOCAL_REPLY_BODY", nullptr, LocalReplyBody, true},
      {"BYTES_RECEIVED", nullptr, Bytes<&ByteMeter::body_received>, false},
      {"BYTES_SENT", nullptr, Bytes<&ByteMeter::body_sent>, false},
      {"REQUEST_HEADERS_BYTES", nullptr, Bytes<&ByteMeter::request_head>, false},
      {"RESPONSE_HEADERS_BYTES", nullptr, Bytes<&ByteMeter::response_head>, false},
      {"RESPONSE_TRAILERS_BYTES", nullptr, TrailerBytes, false},
      {"DOWNSTREAM_HEADER_BYTES_RECEIVED", nullptr, Bytes<&ByteMeter::request_head>, false},
      {"DOWNSTREAM_HEADER_BYTES_SENT", nullptr, Bytes<&ByteMeter::response_head>, false},
      {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", nullptr, Bytes<&ByteMeter::request_head>,
       false},
      {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", nullptr, Bytes<&ByteMeter::response_head>,
       false},
      {"DOWNSTREAM_WIRE_BYTES_RECEIVED", nullptr,
       WireBytes<&ByteMeter::downstream_wire_received, &ByteMeter::body_received>, false},
      {"DOWNSTREAM_WIRE_BYTES_SENT", nullptr,
       WireBytes<&ByteMeter::downstream_wire_sent, &ByteMeter::body_sent>, false},
      {"UPSTREAM_HEADER_BYTES_RECEIVED", nullptr, Bytes<&ByteMeter::upstream_head_received>, false},
      {"UPSTREAM_HEADER_BYTES_SENT", nullptr, Bytes<&ByteMeter::upstream_head_sent>, false},
      {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", nullptr,
       Bytes<&ByteMeter::upstream_head_received>, false},
      {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", nullptr, Bytes<&ByteMeter::upstream_head_sent>,
       false},
      {"UPSTREAM_WIRE_BYTES_RECEIVED", nullptr,
       WireBytes<&ByteMeter::upstream_wire_received, &ByteMeter::body_sent>, false},
      {"UPSTREAM_WIRE_BYTES_SENT", nullptr,
       WireBytes<&ByteMeter::upstream_wire_sent, &ByteMeter::body_received>, false},
  };
  return kOperators;
}

}  // namespace sluice::format_internal

namespace sluice {

std::optional<uint64_t> GrpcStatusOf(const Exchange& exchange) {
  std::optional<std::string_view> text;
  if (exchange.response_trailers() != nullptr)
    text = exchange.response_trailers()->Get(std::string_view("grpc-status"));
  const ResponseHead* head = exchange.response_head();
  if (head == nullptr) return std::nullopt;
  if (!text) text = head->headers.Get(std::string_view("grpc-status"));
  if (text) return ParseDecimal<uint32_t>(*text);
  return GrpcStatusFor(head->status);
}

}  // namespace sluice
