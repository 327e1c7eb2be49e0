// A small GPT on a layout, as the tests of drawings take it.
#pragma once

#include "launch/report/graph/drawing.h"
#include "runtime/model/layout_plan.h"

namespace dml {

inline Config small_config(int d, int p, int t, std::int64_t batch = 0) {
  Config config;
  config.model.source = "gpt:layers=3,width=32,heads=4,seq=8,vocab=16";
  config.layout.d = d;
  config.layout.p = p;
  config.layout.t = t;
  config.data.batch = batch;
  return config;
}

inline Drawing drawing_of(LayoutPlan& plan) {
  return make_drawing(plan.name(), plan.mesh(), plan.options().schedule,
                      [&](int rank) { return plan.partition(rank); });
}

inline Drawing small_drawing(int d, int p, int t, std::int64_t batch = 0) {
  LayoutPlan plan(small_config(d, p, t, batch));
  return drawing_of(plan);
}

}  // namespace dml
