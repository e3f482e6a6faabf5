// Replies that the proxy itself gives. Worker thread only.
#pragma once

#include <string>
#include <string_view>

#include "source/async/task.h"
#include "source/base/reason.h"
#include "source/http/message.h"

namespace sluice {

class Exchange;

/// A plain text answer; an empty `body` gives an answer without content-type. Like the two below it
/// is a local reply, which local_reply_config may change.
Response Reply(int status, std::string body = {});

/// The answer of a filter, or of the connection manager, that takes a request no further: with
/// `details` for the log, and `body`, which outlives every request. As ErrorReply's, it has what
/// the route adds to responses already.
Response Refusal(Exchange& exchange, int status, std::string_view body, std::string_view details);

/// A response that is there already, for a filter that is no coroutine.
Task<Response> Answered(Response response);

/// The answer to a failure: status, body, and on `exchange` the response flag and
/// %RESPONSE_CODE_DETAILS% of the error's reason.
Response ErrorReply(const absl::Status& error, Exchange& exchange);

/// What an HTTP status means to gRPC, as a number. Any thread.
/// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
int GrpcStatusFor(int http_status);

/// Makes a local reply one that a gRPC client understands: 200, with the status and `message`,
/// which was the body, in the header.
void MakeGrpc(Response& response, std::string_view message, const Exchange& exchange);

}  // namespace sluice
