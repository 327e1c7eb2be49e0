#include "launch/commands/graph_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "launch/atomic_file.h"
#include "launch/browser.h"
#include "launch/commands/compare/generated_run.h"
#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/options/usage_error.h"
#include "launch/report/chakra/execution_trace.h"
#include "launch/report/graph/drawing.h"
#include "launch/report/graph/graph_json.h"
#include "launch/report/graph/svg_tree.h"
#include "launch/report/graph/task_times.h"
#include "launch/report/page/page_file.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/terminal.h"
#include "parallel/verify/verify.h"
#include "runtime/model/carried_plan.h"
#include "runtime/model/layout_plan.h"

namespace dml {
namespace {

/// All that the files are made of.
struct Drawn {
  const Drawing& drawing;
  LayoutPlan& plan;
  std::span<const TaskTimes> times;  ///< of the run that was asked for
};

/// The kinds of files that --emit names, and what each one shows in a browser.
struct Form {
  std::string_view name;
  std::string_view first_file;
  std::vector<OutputFile> (*make)(const Drawn& drawn);
};

std::vector<OutputFile> svg(const Drawn& drawn) { return svg_tree(drawn.drawing); }

std::vector<OutputFile> html(const Drawn& drawn) {
  return {{"graph.html", filled_page("graph.html", {{"data", json_for_page(graph_json(drawn.drawing))},
                                                    {"times", json_for_page(task_times_json(drawn.times))}})}};
}

std::vector<OutputFile> json(const Drawn& drawn) { return {{"graph.json", graph_json(drawn.drawing) + "\n"}}; }

std::vector<OutputFile> chakra(const Drawn& drawn) {
  LayoutPlan& plan = drawn.plan;
  std::vector<OutputFile> files;
  CommGroups groups;
  for (int rank = 0; rank < plan.mesh().world_size(); ++rank)
    files.push_back({fmt::format("rank.{}.et", rank), execution_trace(plan.partition(rank), groups)});
  files.push_back({"comm_groups.json", groups.to_json()});
  return files;
}

/// Written by itself, as it may be large.
std::vector<OutputFile> onnx(const Drawn& /*drawn*/) { return {}; }

constexpr std::string_view kModelForm = "onnx";
constexpr Form kForms[] = {
    {"html", "graph.html", html}, {"svg", "interactive_high_level.svg", svg},
    {"json", "", json},           {"chakra", "", chakra},
    {kModelForm, "", onnx},
};

std::string form_names() {
  std::string names;
  for (const Form& form : kForms) names += (names.empty() ? "" : ", ") + std::string(form.name);
  return names;
}

std::vector<const Form*> chosen_forms(const Command& command) {
  std::vector<const Form*> forms;
  std::istringstream words(command.text("emit", "html,svg,json,chakra"));
  for (std::string word; std::getline(words, word, ',');) {
    word.erase(0, word.find_first_not_of(' '));
    const Form* form =
        std::find_if(std::begin(kForms), std::end(kForms), [&](const Form& f) { return f.name == word; });
    if (form == std::end(kForms))
      throw UsageError(fmt::format("--emit {}: no such form; give some of: {}", word, form_names()));
    forms.push_back(form);
  }
  return forms;
}

/// Pages of an earlier drawing of more stages, layers or ranks would be left over.
void remove_leftovers(const std::filesystem::path& folder, const std::vector<OutputFile>& files) {
  std::set<std::string> kept;
  for (const OutputFile& file : files) kept.insert(file.name);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if ((name.ends_with("_detail.svg") || name.ends_with(".et")) && !kept.contains(name))
      std::filesystem::remove(entry);
  }
}

void write_all(const std::string& folder, const std::vector<OutputFile>& files) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw IoError(fmt::format("the folder '{}' cannot be made: {}", folder, error.message()));
  for (const OutputFile& file : files) write_file((std::filesystem::path(folder) / file.name).string(), file.content);
  remove_leftovers(folder, files);
}

bool has_model_form(const std::vector<const Form*>& forms) {
  return std::ranges::any_of(forms, [](const Form* form) { return form->name == kModelForm; });
}

/// The file that --open shows, or empty.
std::string shown_file(const Command& command, const std::vector<const Form*>& forms) {
  if (!command.has("open")) return "";
  const auto form = std::ranges::find_if(forms, [](const Form* f) { return !f->first_file.empty(); });
  if (form == forms.end()) throw UsageError("--open shows html or svg, and --emit names neither");
  return std::string((*form)->first_file);
}

void show(const std::filesystem::path& path, Terminal& terminal) {
  if (!open_in_browser(path.string()))
    terminal.print(fmt::format("there is no xdg-open here: open {} yourself\n", path.string()));
}

/// Findings that are shown; one fault can make many.
constexpr std::size_t kShownFindings = 20;

int run_verification(LayoutPlan& plan, Terminal& terminal) {
  const Verification found = verify(plan.layout());
  terminal.print(found.summary() + "\n");
  for (std::size_t i = 0; i < found.findings.size() && i < kShownFindings; ++i)
    terminal.print(fmt::format("  {}\n", found.findings[i].to_string()));
  if (found.findings.size() > kShownFindings)
    terminal.print(fmt::format("  and {} more\n", found.findings.size() - kShownFindings));
  return found.holds() ? exit_code::kDone : exit_code::kCheckFailed;
}

/// The measured times of the run, and with --hardware the simulated ones.
std::vector<TaskTimes> times_of_run(const Command& command, const GeneratedRun& run, const Drawing& drawing) {
  std::vector<TaskTimes> times{task_times(drawing, run.tasks(), run.joined().measured)};
  times.back().name = "measured";
  times.back().source = run.files().folder;
  if (!command.has("hardware")) return times;
  const Hardware hardware = find_hardware(command.text("hardware"));
  times.push_back(task_times(drawing, run.tasks(), run.simulate(hardware).timeline));
  times.back().name = "simulated";
  times.back().source = hardware.name;
  return times;
}

int run_graph(const Command& command, Terminal& terminal) {
  const std::vector<const Form*> forms = chosen_forms(command);
  const std::string shown = shown_file(command, forms);
  if (command.has("no-weights") && !has_model_form(forms))
    throw UsageError("--no-weights is of the ONNX file, and --emit does not name onnx");
  std::optional<GeneratedRun> run;
  if (command.has("run")) {
    command.refuse_given("graph --run draws what that run was told: leave it out");
    run.emplace(read_run(command.text("run")));
  }
  if (command.has("hardware") && !run)
    throw UsageError("graph: --hardware simulates a run: name its folder with --run, or see `dmltrain simulate`");
  Config config = run ? run->files().config : command.config;
  if (config.layout.techniques.sequence_parallel && has_model_form(forms))
    throw UsageError("graph: --emit onnx is for training, which knows no --sequence-parallel yet: leave one out");
  adopt_carried_layout(config);
  LayoutPlan plan(config);
  if (command.has("verify")) return run_verification(plan, terminal);
  const std::string folder = command.text("out", "graph");
  Drawing drawing =
      make_drawing(plan.name(), plan.mesh(), plan.options().schedule, [&](int rank) { return plan.partition(rank); });
  drawing.parameters = plan.num_parameters();
  drawing.notes.insert(drawing.notes.begin(), plan.notes().begin(), plan.notes().end());
  const std::vector<TaskTimes> times = run ? times_of_run(command, *run, drawing) : std::vector<TaskTimes>{};
  std::vector<OutputFile> files;
  for (const Form* form : forms) std::ranges::move(form->make({drawing, plan, times}), std::back_inserter(files));
  write_all(folder, files);
  if (has_model_form(forms))
    write_planned_model(plan, (std::filesystem::path(folder) / "model.onnx").string(), !command.has("no-weights"));
  terminal.print(fmt::format("wrote {} files of {} ranks to {}\n", files.size() + (has_model_form(forms) ? 1 : 0),
                             plan.mesh().world_size(), folder));
  for (const std::string& note : drawing.notes)
    terminal.print(fmt::format("  {} {}\n", terminal.style().strong("note:"), note));
  if (!shown.empty()) show(std::filesystem::absolute(folder) / shown, terminal);
  return exit_code::kDone;
}

}  // namespace

CommandSpec graph_command() {
  return {.name = "graph",
          .arguments = "",
          .summary = "the task graph as pictures",
          .on_preset = true,
          .reads = {"Model", "Data", "Layout", "Optimizer", "seed"},
          .options = {{"out", "DIR", "folder of the files (default graph)"},
                      {"emit", "FORM,...", "svg, html, json, chakra (default these four), onnx"},
                      {"no-weights", "", "leaves the weights out of the ONNX file"},
                      {"run", "DIR", "draws the graph of that run, with the times that it measured in graph.html"},
                      {"hardware", "FILE|NAME", "with --run: simulated times too, by a calibration or a preset"},
                      {"open", "", "shows the graph in the browser"},
                      {"verify", "", "proves that its tasks compute the model; draws nothing"}},
          .run = run_graph};
}

}  // namespace dml
