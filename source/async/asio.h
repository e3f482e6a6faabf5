// The names that we use of Asio. Only what runs or feeds a worker's loop includes this.
#pragma once

#include <boost/asio/io_context.hpp>

namespace sluice {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Executor = asio::io_context::executor_type;

}  // namespace sluice
