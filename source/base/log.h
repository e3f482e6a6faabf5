// The process's own log (not the access log): lines with a level and a component, written at once
// to standard error or a file. One log a process; any thread writes, levels change at any time,
// Configure and Reopen belong to the main thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "source/base/strings.h"

namespace sluice {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kCritical, kOff };

/// "trace", "debug", "info", "warning", "error", "critical", "off".
std::string_view ToString(LogLevel level);
/// The level of that name ("warn" is "warning" too); nullopt for any other word.
std::optional<LogLevel> ParseLogLevel(std::string_view name);

// X(enumerator, name): components, under the names that Envoy's users know: all of Envoy's, so that
// command lines and scripts written for it are understood. Sorted. Most of them write no line.
#define SLUICE_LOG_COMPONENTS(X)                           \
  X(kA2a, "a2a")                                           \
  X(kAdmin, "admin")                                       \
  X(kAiProtocolManager, "ai_protocol_manager")             \
  X(kAlternateProtocolsCache, "alternate_protocols_cache") \
  X(kAssert, "assert")                                     \
  X(kAws, "aws")                                           \
  X(kBacktrace, "backtrace")                               \
  X(kBasicAuth, "basic_auth")                              \
  X(kCacheFilter, "cache_filter")                          \
  X(kClient, "client")                                     \
  X(kCompression, "compression")                           \
  X(kConfig, "config")                                     \
  X(kConnHandler, "conn_handler")                          \
  X(kConnection, "connection")                             \
  X(kCredentialInjector, "credential_injector")            \
  X(kDecompression, "decompression")                       \
  X(kDns, "dns")                                           \
  X(kDubbo, "dubbo")                                       \
  X(kDynamicModules, "dynamic_modules")                    \
  X(kEnvoyBug, "envoy_bug")                                \
  X(kExtAuthz, "ext_authz")                                \
  X(kExtProc, "ext_proc")                                  \
  X(kFile, "file")                                         \
  X(kFilter, "filter")                                     \
  X(kForwardProxy, "forward_proxy")                        \
  X(kGeolocation, "geolocation")                           \
  X(kGolang, "golang")                                     \
  X(kGrpc, "grpc")                                         \
  X(kHappyEyeballs, "happy_eyeballs")                      \
  X(kHc, "hc")                                             \
  X(kHealthChecker, "health_checker")                      \
  X(kHttp, "http")                                         \
  X(kHttp2, "http2")                                       \
  X(kHystrix, "hystrix")                                   \
  X(kInit, "init")                                         \
  X(kIo, "io")                                             \
  X(kIpTagging, "ip_tagging")                              \
  X(kJsonRpc, "json_rpc")                                  \
  X(kJwt, "jwt")                                           \
  X(kKafka, "kafka")                                       \
  X(kKeyValueStore, "key_value_store")                     \
  X(kLocalRateLimit, "local_rate_limit")                   \
  X(kLua, "lua")                                           \
  X(kMain, "main")                                         \
  X(kMatcher, "matcher")                                   \
  X(kMcp, "mcp")                                           \
  X(kMisc, "misc")                                         \
  X(kMongo, "mongo")                                       \
  X(kMultiConnection, "multi_connection")                  \
  X(kNotification, "notification")                         \
  X(kOauth2, "oauth2")                                     \
  X(kPool, "pool")                                         \
  X(kQuic, "quic")                                         \
  X(kQuicStream, "quic_stream")                            \
  X(kRateLimitQuota, "rate_limit_quota")                   \
  X(kRbac, "rbac")                                         \
  X(kRds, "rds")                                           \
  X(kRedis, "redis")                                       \
  X(kRocketmq, "rocketmq")                                 \
  X(kRouter, "router")                                     \
  X(kRuntime, "runtime")                                   \
  X(kSecret, "secret")                                     \
  X(kSse, "sse")                                           \
  X(kStats, "stats")                                       \
  X(kStatsSinks, "stats_sinks")                            \
  X(kTap, "tap")                                           \
  X(kTesting, "testing")                                   \
  X(kThrift, "thrift")                                     \
  X(kTracing, "tracing")                                   \
  X(kUdp, "udp")                                           \
  X(kUpstream, "upstream")                                 \
  X(kWasm, "wasm")                                         \
  X(kWebsocket, "websocket")

enum class LogComponent : uint8_t {
#define SLUICE_LOG_ENUM(id, name) id,
  SLUICE_LOG_COMPONENTS(SLUICE_LOG_ENUM)
#undef SLUICE_LOG_ENUM
      kCount,
};

std::string_view ToString(LogComponent component);

/// What the command line says about the log.
struct LogSettings {
  std::string level = "info";    ///< --log-level
  std::string component_levels;  ///< --component-log-level: `upstream:debug,dns:trace`
  std::string path;              ///< --log-path; empty: standard error
  /// --log-format, a pattern of spdlog: the flags that log_pattern.h lists.
  std::string format = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";
  bool escape = false;  ///< --log-format-escaped: C escapes for control characters in the text
};

/// Sets up the log. Until then it writes to standard error at level info in the default format.
/// InvalidArgument, which names the flag, for an unknown level, component or pattern and for a file
/// that cannot be opened: nothing has changed then. May be called again.
absl::Status ConfigureLog(const LogSettings& settings);

/// Opens --log-path again under its name (SIGUSR1, after logrotate). On an error the log goes on
/// into the old file.
absl::Status ReopenLog();

/// The components with their levels, sorted by name.
std::vector<std::pair<std::string_view, LogLevel>> LogLevels();
void SetLogLevel(LogLevel level);
/// False when there is no such component.
bool SetLogLevel(std::string_view component, LogLevel level);
/// Applies `a:debug,b:trace`; InvalidArgument, and nothing has changed, if any part of it is wrong.
absl::Status SetLogLevels(std::string_view list);

/// The rest of this file is for SLUICE_LOG.
namespace log_internal {
extern constinit std::array<std::atomic<LogLevel>, static_cast<size_t>(LogComponent::kCount)>
    levels;
}

/// Whether a line of that level would be written: one relaxed load.
inline bool LogsAt(LogComponent component, LogLevel level) {
  return level >=
         log_internal::levels[static_cast<size_t>(component)].load(std::memory_order_relaxed);
}

/// Writes a line, whatever the level is set to. `file` outlives the call.
void WriteLog(LogComponent component, LogLevel level, const char* file, int line,
              std::string_view text);

/// SLUICE_LOG(kInfo, kMain, "listening on ", address, " with ", 2, " workers"): the arguments are
/// those of Cat(), and are not evaluated when the line is not wanted.
#define SLUICE_LOG(level, component, ...)                                                        \
  do {                                                                                           \
    if (::sluice::LogsAt(::sluice::LogComponent::component, ::sluice::LogLevel::level)) {        \
      ::sluice::WriteLog(::sluice::LogComponent::component, ::sluice::LogLevel::level, __FILE__, \
                         __LINE__, ::sluice::Cat(__VA_ARGS__));                                  \
    }                                                                                            \
  } while (false)

}  // namespace sluice
