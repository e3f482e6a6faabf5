// The worker's loop. See worker.h for the threads.
#include "source/async/worker.h"

#include <bit>

#include <pthread.h>
#include <boost/asio/post.hpp>

namespace sluice {
namespace {

thread_local Worker* current = nullptr;

uint64_t SplitMix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) word = SplitMix(seed);
}

uint64_t Rng::operator()() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

Worker::Worker(int index, uint64_t seed)
    : index_(index),
      io_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO),  // Only Post() comes from other threads.
      work_(io_.get_executor()),
      run_queue_(io_),
      poller_(io_),
      wheel_(io_),
      rng_(seed + static_cast<uint64_t>(index)) {
  scratch_.reserve(16 * 1024);
  if (current == nullptr) current = this;
}

Worker::~Worker() {
  Join();
  if (current == this) current = nullptr;
}

Worker* Worker::Current() {
  return current;
}

void Worker::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), ("wrk:" + std::to_string(index_)).c_str());
    Run();
  });
}

void Worker::Run() {
  current = this;
  io_.run();
}

void Worker::Stop() {
  asio::post(io_, [this] { ending_.Spawn(Finish()); });
}

// Cancels the worker's tasks, and when the last has ended lets the loop run out.
Task<> Worker::Finish() {
  scope_.Cancel();
  co_await scope_.Join();
  wheel_.Stop();
  poller_.Stop();
  work_.reset();
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::Post(absl::AnyInvocable<void()> function) {
  asio::post(io_, std::move(function));
}

}  // namespace sluice
