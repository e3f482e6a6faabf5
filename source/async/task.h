// Task: the coroutine type of the whole program. The only header that names Asio's awaitable; every
// other file says Task.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "source/async/frame_pool.h"

namespace sluice {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Executor = asio::io_context::executor_type;

/// An async function's result. Rules: parameters are values or references to objects that outlive
/// the call (Exchange&, Stream&); no capturing lambda is a coroutine; a suspended Task is never
/// destroyed, it is cancelled and then joined (see scope.h).
template <class T = void>
using Task = asio::awaitable<T, Executor>;

/// Completion token of every Asio operation: `auto [error, n] = co_await
/// socket.async_read_some(buffer, kAwait);`
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> kAwait{
    asio::use_awaitable_t<Executor>{}};

/// `Cancelled(co_await kCancelState)`: true when this chain of awaits was cancelled. Leaf
/// operations ask it before they suspend, so that a cancellation that comes between two operations
/// is not lost. Costs no frame.
inline constexpr asio::this_coro::cancellation_state_t kCancelState{};
inline bool Cancelled(const asio::cancellation_state& state) {
  return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace sluice

// Frames of all tasks come from FramePool: these are the two functions by which Asio allocates
// them.
template <>
inline void* boost::asio::detail::awaitable_frame_base<sluice::Executor>::operator new(
    std::size_t size) {
  return sluice::FramePool::Take(size);
}
template <>
inline void boost::asio::detail::awaitable_frame_base<sluice::Executor>::operator delete(
    void* pointer, std::size_t size) {
  sluice::FramePool::Put(pointer, size);
}
