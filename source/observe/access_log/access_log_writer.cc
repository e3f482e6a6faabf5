// The writer of a log file: see access_log_writer.h for which thread does what.
#include "source/observe/access_log/access_log_writer.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "source/base/strings.h"

namespace sluice {
namespace {

constexpr int kPollMilliseconds = 100;  // how soon a stalled writer sees that it shall stop

uint64_t NextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

AccessLogFile::Writer::Writer(std::string path, const AccessLogOptions& options,
                              const AccessLogStats& stats)
    : id_(NextId()), path_(std::move(path)), options_(options), stats_(stats) {}

absl::Status AccessLogFile::Writer::Open() {
  const int error = file_.Open(path_);
  if (LogDescriptor::IsPermanent(error)) {
    return Invalid("cannot open the log file '", path_, "': ", strerror(error));
  }
  return absl::OkStatus();
}

void AccessLogFile::Writer::Start() {
  next_flush_ = Now() + options_.flush_interval;
  thread_ = std::thread([self = shared_from_this()] { self->Run(); });
}

void AccessLogFile::Writer::Stop(TimePoint deadline) {
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) {
    return;
  }
  stop_ = true;
  stop_deadline_ = deadline;
  wake_.notify_all();
  const auto grace = std::chrono::milliseconds(4 * kPollMilliseconds);
  const bool ended = done_.wait_until(lock, deadline + grace, [this] { return finished_; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();  // it hangs in write(); it keeps this object alive and ends when the kernel
                       // lets it
  }
}

AccessLogFile::Writer::Buffer& AccessLogFile::Writer::OwnBuffer() {
  thread_local std::vector<std::pair<uint64_t, std::shared_ptr<Buffer>>> own;
  for (const auto& [id, buffer] : own) {
    if (id == id_) {
      return *buffer;
    }
  }
  auto buffer = std::make_shared<Buffer>();
  own.emplace_back(id_, buffer);
  std::lock_guard lock(mutex_);
  buffers_.push_back(buffer);
  return *buffer;
}

void AccessLogFile::Writer::Write(std::string_view line) {
  Buffer& buffer = OwnBuffer();
  std::lock_guard lock(buffer.mutex);
  const State state = state_.load(std::memory_order_relaxed);
  const bool long_enough = buffer.text.size() >= options_.flush_size;
  if (state == State::kStopped || (long_enough && (state == State::kFull || !HandOver(buffer)))) {
    stats_.entries_dropped.Add();
    return;
  }
  if (buffer.text.capacity() < options_.flush_size) {
    buffer.text.reserve(options_.flush_size + options_.flush_size / 8);
  }
  buffer.text.append(line);
  ++buffer.lines;
  stats_.write_buffered.Add();
  stats_.write_total_buffered.Add(static_cast<int64_t>(line.size()));
  if (buffer.text.size() >= options_.flush_size && state == State::kOpen) {
    HandOver(buffer);
  }
}

bool AccessLogFile::Writer::HandOver(Buffer& buffer) {
  std::lock_guard lock(mutex_);
  if (stop_ || queued_ + buffer.text.size() > options_.max_queued) {
    state_.store(stop_ ? State::kStopped : State::kFull, std::memory_order_relaxed);
    return false;
  }
  Queue({std::move(buffer.text), buffer.lines});
  buffer.text = std::string();
  buffer.lines = 0;
  wake_.notify_one();
  return true;
}

void AccessLogFile::Writer::Queue(Chunk chunk) {
  queued_ += chunk.text.size();
  queue_.push_back(std::move(chunk));
}

void AccessLogFile::Writer::Reopen() {
  std::lock_guard lock(mutex_);
  reopen_ = true;
  wake_.notify_all();
}

uint64_t AccessLogFile::Writer::RequestFlush() {
  std::lock_guard lock(mutex_);
  wake_.notify_all();
  return ++flush_wanted_;
}

bool AccessLogFile::Writer::Await(uint64_t ticket, TimePoint deadline) {
  std::unique_lock lock(mutex_);
  return done_.wait_until(lock, deadline, [&] { return flush_done_ >= ticket || finished_; }) &&
         flush_done_ >= ticket;
}

// --- The writer's thread ---

bool AccessLogFile::Writer::HasWork(TimePoint now) const {
  return stop_ || reopen_ || now >= next_flush_ ||
         (flush_wanted_ != flush_done_ && now >= retry_at_) ||
         (!queue_.empty() && now >= retry_at_);
}

TimePoint AccessLogFile::Writer::NextTime() const {
  const bool waits = !queue_.empty() || flush_wanted_ != flush_done_;
  return waits ? std::min(next_flush_, std::max(retry_at_, Now())) : next_flush_;
}

void AccessLogFile::Writer::Run() {
  sigset_t all;
  sigfillset(&all);  // SIGPIPE too: a reader that goes away is an EPIPE
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), "log");
  std::unique_lock lock(mutex_);
  while (true) {
    while (!HasWork(Now())) {
      wake_.wait_until(lock, NextTime());
    }
    const bool stop = stop_;
    const bool reopen = std::exchange(reopen_, false);
    const bool timer = Now() >= next_flush_;
    const uint64_t ticket = flush_wanted_;
    if (timer) {
      next_flush_ = Now() + options_.flush_interval;
    }
    if (reopen || stop) {
      retry_at_ = TimePoint{};
    }
    if (timer) {
      stats_.flushed_by_timer.Add();
    }
    if (stop) {
      state_.store(State::kStopped, std::memory_order_relaxed);
    }
    const bool all = !(stop || reopen || timer || ticket != flush_done_) || Collect(lock);
    WriteQueue(lock);
    if (!all && queue_.empty() && Collect(lock)) {
      WriteQueue(lock);
    }
    if (reopen) {
      ReopenNow();
      WriteQueue(lock);
    }
    if (queue_.empty()) {
      flush_done_ = ticket;
      done_.notify_all();
    }
    if (stop && (queue_.empty() || Now() >= stop_deadline_ || Now() < retry_at_)) {
      break;
    }
  }
  for (const Chunk& chunk : queue_) {
    Drop(chunk, &chunk == &queue_.front() ? offset_ : 0);
  }
  queue_.clear();
  file_.Close();
  finished_ = true;
  done_.notify_all();
}

void AccessLogFile::Writer::Drop(const Chunk& chunk, size_t written) {
  stats_.entries_dropped.Add(chunk.lines);
  stats_.write_total_buffered.Sub(static_cast<int64_t>(chunk.text.size() - written));
}

// Takes what the threads have buffered, unless the queue is full.
bool AccessLogFile::Writer::Collect(std::unique_lock<std::mutex>& lock) {
  if (queued_ >= options_.max_queued) {
    return false;
  }
  const std::vector<std::shared_ptr<Buffer>> buffers = buffers_;
  lock.unlock();
  std::vector<Chunk> chunks;
  std::vector<const Buffer*> ended;
  for (const std::shared_ptr<Buffer>& buffer : buffers) {
    if (buffer.use_count() == 2) {  // this list and buffers_: its thread has ended
      ended.push_back(buffer.get());
    }
    std::lock_guard buffer_lock(buffer->mutex);
    if (!buffer->text.empty()) {
      chunks.push_back(
          {std::exchange(buffer->text, std::string()), std::exchange(buffer->lines, 0)});
    }
  }
  lock.lock();
  std::erase_if(buffers_, [&](const std::shared_ptr<Buffer>& buffer) {
    return std::find(ended.begin(), ended.end(), buffer.get()) != ended.end();
  });
  for (Chunk& chunk : chunks) {
    Queue(std::move(chunk));
  }
  return true;
}

// Writes until the queue is empty or the file takes no more for now.
void AccessLogFile::Writer::WriteQueue(std::unique_lock<std::mutex>& lock) {
  while (!queue_.empty() && Now() >= retry_at_) {
    Chunk chunk = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const size_t size = chunk.text.size();
    const bool complete = WriteChunk(&chunk);
    lock.lock();
    if (!complete) {
      queue_.push_front(std::move(chunk));
      return;
    }
    offset_ = 0;
    queued_ -= size;
    if (state_.load(std::memory_order_relaxed) == State::kFull) {
      state_.store(State::kOpen, std::memory_order_relaxed);
    }
  }
}

bool AccessLogFile::Writer::WriteChunk(Chunk* chunk) {
  if (!file_.is_open()) {
    if (const int error = file_.Open(path_); error != 0) {
      OnFailure(error, chunk);
      return false;
    }
  }
  while (offset_ < chunk->text.size()) {
    const ssize_t written = file_.Write(std::string_view(chunk->text).substr(offset_));
    if (written > 0) {
      offset_ += static_cast<size_t>(written);
      stats_.write_completed.Add();
      stats_.write_total_buffered.Sub(written);
      continue;
    }
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      file_.WaitWritable(kPollMilliseconds);
      return false;
    }
    OnFailure(written == 0 ? EIO : errno, chunk);
    return false;
  }
  return true;
}

void AccessLogFile::Writer::OnFailure(int error, Chunk* chunk) {
  stats_.write_failed.Add();
  retry_at_ = Now() + options_.retry_interval;
  if (error != EPIPE && error != ECONNRESET) {
    return;
  }
  // The reader is gone; the next one must not start in the middle of a line.
  file_.Close();
  const bool inside =
      offset_ > 0 && offset_ < chunk->text.size() && chunk->text[offset_ - 1] != '\n';
  if (inside) {
    const size_t end = std::min(chunk->text.find('\n', offset_), chunk->text.size() - 1) + 1;
    stats_.entries_dropped.Add();
    stats_.write_total_buffered.Sub(static_cast<int64_t>(end - offset_));
    offset_ = end;
  }
}

void AccessLogFile::Writer::ReopenNow() {
  if (file_.Open(path_) != 0) {
    stats_.reopen_failed.Add();
  }
}

}  // namespace sluice
