// Player: plays the script of one peer of the proxy on a stream, and says where the proxy did
// something else. Worker thread only.
#pragma once

#include <string>
#include <vector>

#include "source/async/worker.h"
#include "source/net/stream.h"
#include "source/net/testing/memory_stream.h"
#include "test/case_runner/case.h"

namespace sluice::cases {

class Player {
 public:
  /// What goes wrong is appended to `failures` behind `who`. All arguments but `who` outlive the
  /// player.
  Player(std::string who, StreamPtr stream, const Script& script, Chunking chunking, Worker& worker,
         std::vector<std::string>& failures)
      : who_(std::move(who)),
        stream_(std::move(stream)),
        script_(script),
        chunking_(chunking),
        worker_(worker),
        failures_(failures) {}

  /// Plays all steps, up to the first failure.
  Task<> Play();
  /// Then: every byte that still comes is a failure. Returns at the end of the stream, or when
  /// cancelled.
  Task<> Watch();
  void Close() { stream_->Close(); }

  bool done() const { return done_; }

 private:
  struct ParsedHead {
    std::string text;  // without what depends on the time
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string Value(std::string_view name, std::string_view otherwise = "") const;
    bool Has(std::string_view name) const;
  };

  Task<bool> Do(const Step& step);
  Task<bool> Send(std::string_view bytes);
  Task<bool> Fill();
  Task<bool> ExpectBytes(std::string_view expected);
  Task<bool> ExpectEnd(bool after_anything);
  Task<bool> ExpectResponse(const ResponseExpectation& expected);
  Task<bool> ReadHead(ParsedHead* head);
  Task<bool> ReadBody(const ParsedHead& head, const ResponseExpectation& expected,
                      std::string* body, std::string* trailers);
  Task<bool> ReadChunks(std::string* body, std::string* trailers);
  Task<bool> Take(size_t count, std::string* out);
  Task<bool> TakeLine(std::string* line);
  bool Compare(const ResponseExpectation& expected, const ParsedHead& head, const std::string& body,
               const std::string& trailers);
  bool Fail(const std::string& what);

  const std::string who_;
  const StreamPtr stream_;
  const Script& script_;
  const Chunking chunking_;
  Worker& worker_;
  std::vector<std::string>& failures_;
  std::string received_;  // and not consumed
  bool ended_ = false;    // the proxy has ended its direction, or reset
  bool done_ = false;
};

/// `bytes` in quotes, unprintable ones escaped.
std::string Shown(std::string_view bytes);

}  // namespace sluice::cases
