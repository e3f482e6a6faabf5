// From the tree of a source text to a protobuf message, by reflection, strictly: what Sluice does
// not understand is an error with its place. Used by the thread that loads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "source/config/diagnostics.h"
#include "source/config/tree.h"

namespace sluice::config {

struct ReadOptions {
  /// Unknown and unsupported fields are warnings (--allow-unknown-static-fields). Types and values
  /// stay strict.
  bool allow_unknown = false;
  /// No warnings about deprecated fields (--skip-deprecated-logs).
  bool skip_deprecated = false;
};

/// Reads nodes of one source into messages of the generated API.
///
/// The mapping is protobuf's JSON mapping with what Envoy tolerates: names in snake_case or
/// camelCase, one object for a list of one, a Duration also as {seconds, nanos}, enum values in any
/// letter case or as numbers, numbers as text, `@type` anywhere in the object, TypedStruct
/// unwrapped. The type of the field says what a plain scalar is: `off` is a name for a string field
/// and false for a bool; numbers are decimal. A null leaves its field unset.
///
/// Reading into a message that already holds something merges: what the source sets wins, lists are
/// appended to.
class ProtoReader {
 public:
  /// `file` is the source's index in the diagnostics' SourceMap.
  ProtoReader(int file, ReadOptions options, Diagnostics& diagnostics)
      : file_(file), options_(options), diagnostics_(diagnostics) {}

  /// Reads `node` into `message`, whose path is `path`. All problems are reported; what could be
  /// read is set.
  void Read(const Node& node, std::string_view path, google::protobuf::Message* message);

 private:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::FieldDescriptor;

  // Lengthens path_ for one scope.
  class Step {
   public:
    Step(ProtoReader& reader, std::string path) : reader_(reader), old_(std::move(reader.path_)) {
      reader_.path_ = std::move(path);
    }
    ~Step() { reader_.path_ = std::move(old_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    ProtoReader& reader_;
    std::string old_;
  };

  void ReadMessage(const Node& node, Message* message);
  void ReadFields(const Node& mapping, Message* message, bool in_any);
  void ReadEntry(const Node::Entry& entry, Message* message, std::vector<const Field*>* seen);
  const Field* FindField(const Node& key, const google::protobuf::Descriptor& type);
  bool CheckSetOnce(const Node& key, const Field* field, std::vector<const Field*>* seen);
  void ReadField(const Node::Entry& entry, const Field* field, Message* message);
  void ReadMap(const Node& node, const Field* field, Message* message);
  Message* MapEntry(const Field* field, const Node& key, Message* message);
  void ReadElement(const Node& node, const Field* field, Message* message);
  void ReadScalar(const Node& node, const Field* field, Message* message);
  bool ReadEnum(const Node& node, const Field* field, int* number);

  // Messages with a form of their own. False: `message` is none of them.
  bool ReadWellKnown(const Node& node, Message* message);
  void ReadDuration(const Node& node, Message* message);
  void ReadTimestamp(const Node& node, Message* message);
  void ReadStruct(const Node& node, Message* message);
  void ReadValue(const Node& node, Message* message);
  void ReadAny(const Node& node, Message* message);
  void ReadAnyContent(const Node& node, const Node& place, std::string_view url, bool typed_struct,
                      Message* any);
  void RefuseType(const Node& place, std::string_view url, std::string_view name, Message* any);

  // Problems at the place of a node, with the current path.
  void Error(const Node& node, std::string_view message, std::string_view suggestion = {});
  void WrongType(const Node& node, std::string_view expected);
  void Unknown(const Node& key, std::string_view message, std::string_view suggestion = {});
  // Remembers where path_ is.
  void Mark(int line, int column);

  const int file_;
  const ReadOptions options_;
  Diagnostics& diagnostics_;
  std::string path_;
  // The path of the message with `is_optional: true` whose Any is read now; empty: the Any is
  // needed.
  std::string optional_;
};

/// A number, strictly: decimal digits with an optional sign, and for integers also `2.0` or `1e3`
/// if the value is whole.
bool ParseInteger(std::string_view text, bool is_signed, int bits, int64_t* signed_value,
                  uint64_t* unsigned_value);
/// A finite decimal number.
bool ParseFinite(std::string_view text, double* value);

}  // namespace sluice::config
