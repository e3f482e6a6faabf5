// Task: the coroutine type of the whole program. The only header that names Asio's awaitable; every other file says Task.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Executor = asio::io_context::executor_type;

/// An async function's result. Rules: parameters are values or references to objects that outlive the call (Exchange&, Stream&);
/// no capturing lambda is a coroutine; a suspended Task is never destroyed, it is cancelled and then joined (see scope.h).
template <class T = void>
using Task = asio::awaitable<T, Executor>;

/// Completion token of every Asio operation: `auto [error, n] = co_await socket.async_read_some(buffer, kAwait);`
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> kAwait{asio::use_awaitable_t<Executor>{}};

/// True when this chain of awaits was cancelled. Leaf operations ask it before they suspend, so that a cancellation that comes
/// between two operations is not lost.
inline Task<bool> IsCancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace sluice
