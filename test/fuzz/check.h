// What every fuzz target asserts with, and how it cuts its input. One thread.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

// Unlike assert(), also in optimised builds.
#define FUZZ_CHECK(condition)                                              \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (false)

/// No byte of `text` could end a line early: every CR stands before a LF and every LF behind a CR,
/// and nothing else is a control byte.
inline bool HasCleanLines(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
      ++i;
    } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
      return false;
    }
  }
  return true;
}
