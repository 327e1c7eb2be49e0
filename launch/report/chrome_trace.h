// One step as Chrome trace events, which Perfetto opens: a process per rank, rows for compute and for each
// communication queue, an arrow from every send to its receive.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>

#include "parallel/mesh.h"
#include "parallel/task_graph.h"
#include "parallel/timeline.h"

namespace dml {

/// What a task is called in the picture, such as the name of its node.
using TaskName = std::function<std::string(const RankTasks&, const Task&)>;

/// Writes the file whole or not at all. `ranks` may be some of the mesh's; spans of other ranks are left out, and a
/// transfer gets its arrow where both ends are there. Tasks of one queue that overlap get further rows. Throws IoError.
void write_chrome_trace(const std::string& path, std::span<const RankTasks> ranks, const Timeline& timeline,
                        const Mesh& mesh, const TaskName& name_of_task);
/// The same to a stream.
void write_chrome_trace(std::ostream& out, std::span<const RankTasks> ranks, const Timeline& timeline, const Mesh& mesh,
                        const TaskName& name_of_task);

}  // namespace dml
