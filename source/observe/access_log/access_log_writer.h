// The writing side of a log file: buffers that the workers fill, and the one thread that empties
// them into the file. Write is for any thread, Start and Stop for the owner, everything below "the
// writer's thread" for that one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "source/observe/access_log/access_log.h"
#include "source/observe/access_log/log_descriptor.h"

namespace sluice {

class AccessLogFile::Writer : public std::enable_shared_from_this<Writer> {
 public:
  Writer(std::string path, const AccessLogOptions& options, const AccessLogStats& stats);

  /// Opens the file for the first time. An error is one that will not pass by itself.
  absl::Status Open();
  void Start();
  /// Writes what is queued until `deadline`, then ends the thread (or lets it go, if the file hangs
  /// in the kernel).
  void Stop(TimePoint deadline);

  void Write(std::string_view line);
  void Reopen();
  /// Asks for all that was written before; Await takes the ticket. False after `deadline`.
  uint64_t RequestFlush();
  bool Await(uint64_t ticket, TimePoint deadline);

 private:
  // What one thread has written since the last flush.
  struct alignas(64) Buffer {
    std::mutex mutex;  // contended only while the writer takes the text
    std::string text;
    uint64_t lines = 0;
  };
  struct Chunk {
    std::string text;
    uint64_t lines = 0;
  };

  Buffer& OwnBuffer();
  bool HandOver(Buffer& buffer);
  void Queue(Chunk chunk);  // under mutex_
  void Drop(const Chunk& chunk, size_t written);

  // The writer's thread.
  void Run();
  bool HasWork(TimePoint now) const;                 // under mutex_
  TimePoint NextTime() const;                        // under mutex_
  bool Collect(std::unique_lock<std::mutex>& lock);  // false: nothing taken, the queue is full
  void WriteQueue(std::unique_lock<std::mutex>& lock);
  bool WriteChunk(Chunk* chunk);  // false: not complete, try again later
  void ReopenNow();
  void OnFailure(int error, Chunk* chunk);

  const uint64_t id_;
  const std::string path_;
  const AccessLogOptions options_;
  const AccessLogStats stats_;
  std::thread thread_;
  enum class State : uint8_t { kOpen, kFull, kStopped };
  std::atomic<State> state_{
      State::kOpen};  // written when it changes only, so that the workers share it for reading

  std::mutex mutex_;  // guards what follows; taken after a Buffer's mutex, never before it
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<std::shared_ptr<Buffer>> buffers_;
  std::deque<Chunk> queue_;
  size_t queued_ = 0;  // bytes in queue_ and in what is being written
  uint64_t flush_wanted_ = 0;
  uint64_t flush_done_ = 0;
  bool reopen_ = false;
  bool stop_ = false;
  bool finished_ = false;
  TimePoint stop_deadline_{};
  TimePoint next_flush_{};

  // The writer's thread only.
  LogDescriptor file_;
  size_t offset_ = 0;     // how much of the chunk at hand is written
  TimePoint retry_at_{};  // no attempt before
};

}  // namespace sluice
