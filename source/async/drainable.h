// Drainable: what a connection is told through that it shall end when it can. Belongs to one
// worker.
#pragma once

namespace sluice {

class Drainable {
 public:
  /// Take nothing new: end now when idle, else after what runs.
  virtual void Drain() = 0;

 protected:
  ~Drainable() = default;
};

}  // namespace sluice
