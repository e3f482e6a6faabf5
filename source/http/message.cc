// The pools of heads, and pseudo header names. Worker thread only.
#include "source/http/message.h"

#include <charconv>
#include <cstdlib>
#include <new>

namespace sluice {
namespace {

constexpr size_t kKept = 512;

// A list of free blocks of one size; what is on it when the thread ends is freed.
template <class T>
struct FreeBlocks {
  struct Block {
    Block* next;
  };
  ~FreeBlocks() {
    while (head != nullptr) std::free(std::exchange(head, head->next));
    count = kKept;
  }
  Block* head = nullptr;
  size_t count = 0;
};

template <class T>
FreeBlocks<T>& Blocks() {
  thread_local FreeBlocks<T> blocks;
  return blocks;
}

}  // namespace

template <class T>
void* Pooled<T>::operator new(size_t size) {
  auto& blocks = Blocks<T>();
  if (blocks.head != nullptr) {
    --blocks.count;
    return std::exchange(blocks.head, blocks.head->next);
  }
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

template <class T>
void Pooled<T>::operator delete(void* memory) {
  using Block = typename FreeBlocks<T>::Block;
  auto& blocks = Blocks<T>();
  if (blocks.count >= kKept) return std::free(memory);
  ++blocks.count;
  blocks.head = new (memory) Block{blocks.head};
}

template class Pooled<RequestHead>;
template class Pooled<ResponseHead>;

std::string_view ToString(HttpVersion version) {
  switch (version) {
    case HttpVersion::kHttp10:
      return "HTTP/1.0";
    case HttpVersion::kHttp11:
      return "HTTP/1.1";
    case HttpVersion::kHttp2:
      return "HTTP/2";
  }
  return "-";
}

std::optional<std::string_view> RequestHead::Get(std::string_view name) const {
  if (name.empty() || name[0] != ':') {
    if (name == "host") return authority.empty() ? std::nullopt : std::optional(authority);
    return headers.Get(name);
  }
  std::string_view value;
  if (name == ":method") value = method;
  if (name == ":scheme") value = scheme;
  if (name == ":authority") value = authority;
  if (name == ":path") value = path;
  return value.empty() ? std::nullopt : std::optional(value);
}

std::optional<std::string_view> ResponseHead::Get(std::string_view name) {
  if (name != ":status") return headers.Get(name);
  char text[8];
  const auto end = std::to_chars(text, text + sizeof(text), status).ptr;
  return arena.Copy({text, static_cast<size_t>(end - text)});
}

}  // namespace sluice
