// Replies that the proxy itself gives. Worker thread only.
#pragma once

#include <string>
#include <string_view>

#include "source/async/task.h"
#include "source/base/reason.h"
#include "source/http/message.h"

namespace sluice {

class Exchange;

/// A plain text answer; an empty `body` gives an answer without content-type. Like those of
/// Refusal() and ErrorReply() it is a local reply, which local_reply_config may change; unlike
/// theirs it has nothing yet of what the route adds, and the exchange says nothing of it.
Response Reply(int status, std::string body = {});

/// The answer of a filter, or of the connection manager, that takes a request no further: with
/// `details` for the log, and `body`, which outlives the response. It has what the route adds to
/// responses already.
Response Refusal(Exchange& exchange, int status, std::string_view body, std::string_view details);

/// A response that is there already, for a filter that is no coroutine.
Task<Response> Answered(Response response);

/// The answer to a failure: status and body of the error's reason (reason.h), on `exchange` its
/// response flag and %RESPONSE_CODE_DETAILS%, and what the route adds to responses. Of an exchange
/// that was cancelled the canceller's reason counts, not kCancelled. A limit of time that ran out
/// before the request was whole gives a 408; kOverflow adds x-envoy-overloaded.
Response ErrorReply(const absl::Status& error, Exchange& exchange);

/// What an HTTP status means to gRPC, as a number. Any thread.
/// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
int GrpcStatusFor(int http_status);

/// Makes a local reply one that a gRPC client understands: 200 without a body, with what its status
/// means to gRPC in grpc-status (DEADLINE_EXCEEDED after max_stream_duration, by the failure of
/// `exchange`), and `message`, which was the body, percent-encoded in grpc-message.
void MakeGrpc(Response& response, std::string_view message, const Exchange& exchange);

}  // namespace sluice
