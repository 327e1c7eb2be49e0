// One send or one receive.
#pragma once

#include "runtime/comm/operation.h"

namespace dml {

class Message final : public Operation {
 public:
  Message(Transport& transport, const Group& group)
      : Operation(transport, group), receive_(add_receives()), send_(add_sends()) {}

  void start_send(TensorView data, int peer, int channel) {
    clear(data, channel);
    send_.send(peer, data.data, data.num_bytes());
  }
  void start_receive(TensorView data, int peer, int channel) {
    clear(data, channel);
    receive_.receive(peer, data.data, data.num_bytes());
  }
  bool advance() override { return receive_.poll() && send_.poll(); }

 private:
  void clear(TensorView data, int channel) {
    view = data;
    receive_.clear(channel_label(channel));
    send_.clear(channel_label(channel));
  }

  Lanes& receive_;
  Lanes& send_;
};

}  // namespace dml
