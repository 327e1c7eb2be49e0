// Repeated messages in ONNX's, which not every libonnx has as fields: an older one keeps them unread. Some packages
// compile ONNX's messages for protobuf's lite runtime, where a message cannot be asked for its fields.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <string>
#include <type_traits>
#include <vector>

#include "kernels/error.h"
#include "models/onnx/proto.h"

namespace dml {

/// NodeProto.metadata_props, since IR version 10.
struct MetadataField {
  static constexpr int kNumber = 9;
  static const auto& of(const auto& node)
    requires requires { node.metadata_props(); }
  {
    return node.metadata_props();
  }
};

/// NodeProto.device_configurations, since IR version 11.
struct NodeConfigurationField {
  static constexpr int kNumber = 10;
  static const auto& of(const auto& node)
    requires requires { node.device_configurations(); }
  {
    return node.device_configurations();
  }
  static void clear(auto& node)
    requires requires { node.clear_device_configurations(); }
  {
    node.clear_device_configurations();
  }
};

/// ModelProto.configuration, since IR version 11.
struct ConfigurationField {
  static constexpr int kNumber = 26;
  static const auto& of(const auto& model)
    requires requires { model.configuration(); }
  {
    return model.configuration();
  }
  static void clear(auto& model)
    requires requires { model.clear_configuration(); }
  {
    model.clear_configuration();
  }
};

/// `fields` cannot be returned: early versions of protobuf neither copy nor move them.
inline void read_fields(google::protobuf::UnknownFieldSet& fields, const std::string& bytes) {
  DML_ASSERT(fields.ParseFromString(bytes), "what a message keeps unread");
}

inline std::string bytes_of_fields(const google::protobuf::UnknownFieldSet& fields) {
  std::string bytes;
  DML_ASSERT(fields.SerializeToString(&bytes), "fields that were read or made here");
  return bytes;
}

/// The bytes of the fields with this number.
inline std::vector<std::string> messages_among(const google::protobuf::UnknownFieldSet& fields, int number) {
  std::vector<std::string> found;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() == number && field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      found.emplace_back(field.length_delimited());
  }
  return found;
}

/// The serialized messages of a field.
template <typename Field, typename Message>
std::vector<std::string> messages_of(const Message& message) {
  if constexpr (requires { Field::of(message); }) {
    std::vector<std::string> found;
    for (const auto& part : Field::of(message)) found.push_back(part.SerializeAsString());
    return found;
  } else if constexpr (std::is_base_of_v<google::protobuf::Message, Message>) {
    return messages_among(message.GetReflection()->GetUnknownFields(message), Field::kNumber);
  } else {
    google::protobuf::UnknownFieldSet fields;
    read_fields(fields, message.unknown_fields());
    return messages_among(fields, Field::kNumber);
  }
}

template <typename Field, typename Message>
void clear_messages(Message& message) {
  if constexpr (requires { Field::clear(message); }) {
    Field::clear(message);
  } else if constexpr (std::is_base_of_v<google::protobuf::Message, Message>) {
    message.GetReflection()->MutableUnknownFields(&message)->DeleteByNumber(Field::kNumber);
  } else {
    google::protobuf::UnknownFieldSet fields;
    read_fields(fields, message.unknown_fields());
    fields.DeleteByNumber(Field::kNumber);
    *message.mutable_unknown_fields() = bytes_of_fields(fields);
  }
}

/// Parsing into a message appends to its repeated fields, known or not. The bytes have a name, since protobuf takes a
/// temporary by a template, whose symbol Clang 19 spells otherwise than the GCC that protobuf's packages come from.
template <typename Field>
void add_message(google::protobuf::MessageLite& message, const google::protobuf::MessageLite& part) {
  google::protobuf::UnknownFieldSet fields;
  const std::string bytes = part.SerializeAsString();
  fields.AddLengthDelimited(Field::kNumber, bytes);
  DML_ASSERT(message.MergeFromString(bytes_of_fields(fields)), "a message that was made here");
}

}  // namespace dml
