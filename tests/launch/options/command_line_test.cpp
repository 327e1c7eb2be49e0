// Options: what the command line and files make of Config, and what they say where they cannot.
#include "launch/options/command_line.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "launch/commands/commands.h"
#include "launch/options/config_file.h"
#include "launch/options/option_table.h"
#include "launch/options/preset.h"

#define DML_SCHEDULES                                                                                         \
  "gpipe, 1f1b, interleaved, 1f1b-overlap, interleaved-overlap, zb-h1, zb-h2, zb-1p, zb-2p, zb-v, dualpipe, " \
  "dualpipe-v"

namespace dml {
namespace {

std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> all;
  std::istringstream in(line);
  for (std::string word; in >> word;) all.push_back(word);
  return all;
}

Command parse(const std::string& line) { return parse_command_line(words(line), all_commands()); }

/// The text of the UsageError, or "" where there is none.
std::string error_of(const std::string& line) {
  try {
    parse(line);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

const char* const kModel = "--model m.onnx --data d.bin ";

TEST(CommandLine, BareRunIsThePreset) {
  const Config c = parse("").config;
  EXPECT_EQ(c.model.source, "gpt:layers=4,width=128,heads=4,seq=64,vocab=256");
  EXPECT_EQ(c.data.source, "builtin:text");
  EXPECT_EQ(c.data.batch, 16);
  EXPECT_EQ(c.layout.microbatches, 4);
  EXPECT_EQ(c.layout.schedule, "1f1b");
  EXPECT_EQ(c.optimizer.kind, OptimizerKind::adamw);
  EXPECT_EQ(c.optimizer.learning_rate, 3e-3);
  EXPECT_EQ(c.optimizer.warmup_steps, 10);
  EXPECT_EQ(c.optimizer.clip, 1.0);
  EXPECT_EQ(c.steps, 150);
}

TEST(CommandLine, LayoutKeepsThePreset) {
  const Config c = parse("--d 2 --p 2 --t 2").config;
  EXPECT_EQ(c.layout.d * c.layout.p * c.layout.t, 8);
  EXPECT_EQ(c.steps, 150);
}

TEST(CommandLine, OwnModelHasPyTorchsDefaults) {
  const Config c = parse(kModel).config;
  EXPECT_EQ(c.optimizer.learning_rate, 1e-3);
  EXPECT_EQ(c.optimizer.warmup_steps, 0);
  EXPECT_EQ(c.optimizer.clip, 0);
  EXPECT_FALSE(c.optimizer.weight_decay.has_value());
  EXPECT_EQ(c.data.batch, 0);
  EXPECT_EQ(c.layout.microbatches, 0);
  EXPECT_EQ(c.steps, 0);
  EXPECT_EQ(c.epochs, 1);
}

TEST(CommandLine, EveryOptionReachesConfig) {
  const Config c =
      parse(
          "--model m.onnx --dim N=4 --dim M=5 --loss mse --train a* --train b* --freeze c* --tie A=B --untie E "
          "--data d.bin --val v.bin --batch 8 --samples 99 --no-shuffle --steps 7 --val-every 3 "
          "--d 2 --p 3 --t 4 --order tpd --schedule gpipe --chunks 5 --microbatches 2 --tensor-mode megatron --cut x,y "
          "--plan auto --ranks 24 --bucket-mb 0.5 --recompute full --sequence-parallel --zero 1 --dtype bf16 "
          "--optimizer sgd --lr 0.1 "
          "--momentum 0.9 --nesterov "
          "--weight-decay 0.02 --no-decay *bias --clip 2 --lr-schedule cosine --warmup 5 --min-lr 0.01 "
          "--seed 42 --threads 3 --isa avx2 --device cuda --cuda-graph --tf32 --run r --checkpoint-every 6 --resume "
          "auto --save s.onnx "
          "--dump "
          "d.safetensors "
          "--comm thread --collectives library --deadline 12.5 --gather-parts 3 --shape-link 50,2.5:t")
          .config;
  EXPECT_EQ(c.model.dims.at("N"), 4);
  EXPECT_EQ(c.model.dims.at("M"), 5);
  EXPECT_EQ(c.model.loss, "mse");
  EXPECT_EQ(c.model.train, (std::vector<std::string>{"a*", "b*"}));
  EXPECT_EQ(c.model.freeze, std::vector<std::string>{"c*"});
  ASSERT_EQ(c.model.tie.size(), 1U);
  EXPECT_EQ(c.model.tie[0], (std::pair<std::string, std::string>{"A", "B"}));
  EXPECT_EQ(c.model.untie, std::vector<std::string>{"E"});
  EXPECT_EQ(c.data.validation, "v.bin");
  EXPECT_EQ(c.data.samples, 99);
  EXPECT_FALSE(c.data.shuffle);
  EXPECT_EQ(c.steps, 7);
  EXPECT_EQ(c.epochs, 0);
  EXPECT_EQ(c.val_every, 3);
  EXPECT_EQ(c.layout.order, "tpd");
  EXPECT_EQ(c.layout.schedule, "gpipe");
  EXPECT_EQ(c.layout.chunks, 5);
  EXPECT_EQ(c.layout.tensor_mode, TensorMode::megatron);
  EXPECT_EQ(c.layout.cut, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(c.layout.bucket_bytes, 512 << 10);
  EXPECT_EQ(c.optimizer.kind, OptimizerKind::sgd);
  EXPECT_TRUE(c.optimizer.nesterov);
  EXPECT_EQ(c.optimizer.weight_decay, 0.02);
  EXPECT_EQ(c.optimizer.schedule, RateSchedule::cosine);
  EXPECT_EQ(c.optimizer.min_learning_rate, 0.01);
  EXPECT_EQ(c.seed, 42U);
  EXPECT_EQ(c.threads, 3);
  EXPECT_EQ(c.isa, "avx2");
  EXPECT_EQ(c.device, "cuda");
  EXPECT_TRUE(c.cuda_graph);
  EXPECT_TRUE(c.tf32);
  EXPECT_EQ(c.gather_parts, 3);
  EXPECT_EQ(c.comm, "thread");
  EXPECT_EQ(c.collectives, "library");
  EXPECT_EQ(c.deadline_s, 12.5);
  const ShapedLink link = c.shaped_link.value_or(ShapedLink{});
  EXPECT_EQ(link.latency_us, 50);
  EXPECT_EQ(link.gbit_per_s, 2.5);
  EXPECT_EQ(link.axis, 't');
  const Config adam = parse("--beta1 0.8 --beta2 0.9 --eps 1e-6").config;
  // Written and read again, nothing is lost: `run` alone stays a comment.
  for (const OptionSpec& spec : option_table()) {
    if (spec.name == "shards" || spec.name == "epochs") continue;
    const bool is_given = spec.get(c) != spec.get(Config{}) || spec.get(adam) != spec.get(preset());
    EXPECT_TRUE(is_given) << spec.name << " is not in this test";
  }
}

TEST(CommandLine, LaterWordsWin) {
  EXPECT_EQ(parse("--lr 0.1 --lr 0.2").config.optimizer.learning_rate, 0.2);
  EXPECT_EQ(parse("--lr=0.1").config.optimizer.learning_rate, 0.1);
}

TEST(CommandLine, LengthIsByStepsOrByEpochs) {
  EXPECT_EQ(parse("--epochs 2").config.steps, 0);
  EXPECT_EQ(parse("--epochs 2").config.epochs, 2);
  EXPECT_NE(error_of("--epochs 2 --steps 3").find("both given"), std::string::npos);
}

TEST(CommandLine, Commands) {
  EXPECT_EQ(parse("--d 2").spec, nullptr);
  EXPECT_EQ(parse("--help").wish, Command::Wish::help);
  EXPECT_EQ(parse("-h --d 2").wish, Command::Wish::help);
  EXPECT_EQ(parse("--version").wish, Command::Wish::version);
  EXPECT_EQ(parse("help").spec->name, "help");
  EXPECT_EQ(parse("help layouts").arguments, std::vector<std::string>{"layouts"});
  const Command show = parse("model show m.onnx --dim N=3");
  EXPECT_EQ(show.spec->name, "model show");
  EXPECT_EQ(show.arguments, std::vector<std::string>{"m.onnx"});
  EXPECT_EQ(show.config.model.dims.at("N"), 3);
  const Command asked = parse("model show --help");
  EXPECT_EQ(asked.wish, Command::Wish::help);
  EXPECT_EQ(asked.spec->name, "model show");
  const Command written = parse("model export gpt:layers=2 out.onnx --no-weights");
  EXPECT_EQ(written.spec->name, "model export");
  EXPECT_EQ(written.arguments.back(), "out.onnx");
  EXPECT_TRUE(written.has("no-weights"));
  const Command cut = parse("model partition m.onnx --d 2 --p 3 --t 4 out/");
  EXPECT_EQ(cut.spec->name, "model partition");
  EXPECT_EQ(cut.arguments.back(), "out/");
  EXPECT_EQ(cut.config.layout.t, 4);
}

int nothing(const Command& /*command*/, Terminal& /*terminal*/) { return 0; }

TEST(CommandLine, ACommandsOwnOptions) {
  const std::vector<CommandSpec> commands{
      {.name = "draw",
       .arguments = "",
       .summary = "draws",
       .on_preset = true,
       .reads = {"Data", "seed"},
       .options = {{"schedule", "NAME", "one or more", true}, {"open", "", "shows"}},
       .run = nothing}};
  const Command draw = parse_command_line(words("draw --schedule gpipe --schedule 1f1b --open --batch 32"), commands);
  EXPECT_EQ(draw.own.at("schedule"), (std::vector<std::string>{"gpipe", "1f1b"}));
  EXPECT_EQ(draw.text("schedule"), "1f1b");
  EXPECT_EQ(draw.text("out", "here"), "here");
  EXPECT_TRUE(draw.has("open"));
  EXPECT_EQ(draw.config.data.batch, 32);
  EXPECT_EQ(draw.config.data.source, "builtin:text");
  EXPECT_THROW(parse_command_line(words("draw --schedule --open"), commands), UsageError);
  EXPECT_THROW(parse_command_line(words("draw more"), commands), UsageError);
  const Command seeded = parse_command_line(words("draw --seed 3 --batch 32"), commands);
  EXPECT_EQ(seeded.given, (std::vector<std::string>{"--batch", "--seed"}));
  EXPECT_THROW(parse_command_line(words("draw --lr 3"), commands), UsageError);
  EXPECT_THROW(seeded.refuse_given("of another"), UsageError);
  EXPECT_NO_THROW(parse_command_line(words("draw --open"), commands).refuse_given("of another"));
}

struct BadLine {
  const char* line;
  const char* error;
};

TEST(CommandLine, ErrorsNameTheWordAndWhatWouldDo) {
  const BadLine rows[] = {
      {"--lrr 3", "unknown flag --lrr (did you mean --lr?); dmltrain --help lists all"},
      {"--micro-batches=3", "unknown flag --micro-batches (did you mean --microbatches?); dmltrain --help lists all"},
      {"-d 2", "unknown flag -d (did you mean --d?); dmltrain --help lists all"},
      {"--zzzzzz 3", "unknown flag --zzzzzz; dmltrain --help lists all"},
      {"model shwo x", "unknown argument 'shwo' (did you mean show?); commands are: show, export, partition"},
      {"--lr", "--lr wants a value"},
      {"--run --save x", "--run wants a value, but --save follows it"},
      {"--lr abc", "--lr: 'abc' is not a number"},
      {"--lr nan", "--lr: 'nan' is not a number"},
      {"--lr -1", "--lr: -1 is too small: at least 0"},
      {"--momentum 1.5", "--momentum: 1.5 is too large: at most 1"},
      {"--d 0", "--d: 0 is too small: at least 1"},
      {"--p 2.5", "--p: '2.5' is not a whole number"},
      {"--t 99999999999", "--t: 99999999999 is too large: at most 2147483647"},
      {"--seed 99999999999999999999", "--seed: 99999999999999999999 is out of range"},
      {"--schedule 1f1", "--schedule: '1f1' is not one of " DML_SCHEDULES " (did you mean 1f1b?)"},
      {"--optimizer adamx", "--optimizer: 'adamx' is not one of sgd, adam, adamw (did you mean adam?)"},
      {"--dim N", "--dim: 'N' is not of the form NAME=VALUE"},
      {"--dim N=0", "--dim: 0 is too small: at least 1"},
      {"--no-shuffle=maybe", "--no-shuffle: 'maybe' is neither true nor false"},
      {"--cut a,,b", "--cut: 'a,,b' has an empty node name"},
      {"--cut a,b --p 2", "--cut names 2 nodes, but --p 2 stages end at 1 places"},
      {"--data x", "--data x without a model: add --model FILE.onnx, or a built-in one such as --model gpt"},
      {"--model gpt", "--model gpt without data: add --data SOURCE, for example --data builtin:text"},
      {"--nesterov --optimizer sgd", "--nesterov without momentum: add --momentum, for example 0.9"},
      {"--optimizer sgd --eps 1",
       "--beta1, --beta2 and --eps are of --optimizer adam and adamw only: sgd has --momentum"},
      {"--lr 0.1 --min-lr 0.2", "--min-lr 0.2 is above --lr 0.1"},
      {"--lr 0.1 --min-lr 0.01", "--min-lr 0.01: a constant rate never reaches it: add --lr-schedule cosine or linear"},
      {"--val v.bin", "--val v.bin: nothing validates on it: say how often by --val-every N"},
      {"--threads 100000", "--threads: 100000 is too large: at most 4096"},
      {"calibrate --steps 3",
       "--steps: `dmltrain calibrate` has no use for it; of training's options it reads --threads, --comm, "
       "--collectives, --deadline, --shape-link"},
      {"plan --world 4 --d 2", "--d: `dmltrain plan` has no use for it; it has --min-d, --max-d"},
      {"graph --d 2 --ranks 4",
       "--ranks: `dmltrain graph` has no use for it; of training's options it reads Model, Data, Layout, Optimizer, "
       "--seed"},
      {"simulate --hardware h200 --plan auto",
       "--plan: `dmltrain simulate` has no use for it; of training's options it reads Model, Data, Layout, Optimizer, "
       "--seed, --threads"},
      {"model partition m.onnx shards --plan auto",
       "--plan: `dmltrain model partition` has no use for it; of training's options it reads Model, Data, Layout, "
       "Optimizer, --seed"},
      {"calibrate --gather-parts 2",
       "--gather-parts: `dmltrain calibrate` has no use for it; of training's options it reads --threads, --comm, "
       "--collectives, --deadline, --shape-link"},
      {"man --d 2", "--d: `dmltrain man` has no use for it; of training's options it reads none"},
      {"graph more", "unknown argument 'more'; usage: dmltrain graph"},
      {"--beta2 1", "--beta1 0.9 --beta2 1: both must be below 1"},
      {"--batch 4 --microbatches 8 --d 2",
       "--batch 4 has fewer samples than the 16 microbatches of a step (--d 2 times --microbatches 8)"},
      {"--config /nowhere/c.toml",
       "--config /nowhere/c.toml: there is no such file, it is empty, or it cannot be read"},
      {"model export gpt", "an argument is missing: dmltrain model export NAME OUT.onnx"},
      {"model",
       "model wants to know what to do: model show FILE|NAME, or model export NAME OUT.onnx, or model partition FILE "
       "OUT/"},
  };
  for (const BadLine& row : rows) EXPECT_EQ(error_of(row.line), row.error) << row.line;
}

TEST(CommandLine, AnUnknownCommandIsToldAll) {
  const std::string error = error_of("modle");
  EXPECT_TRUE(error.starts_with("unknown argument 'modle' (did you mean model?); commands are: help, ")) << error;
  for (const CommandSpec& command : all_commands()) {
    const std::string_view first = command.name.substr(0, command.name.find(' '));
    EXPECT_NE(error.find(first), std::string::npos) << error;
  }
}

class ConfigFile : public testing::Test {
 protected:
  ~ConfigFile() override { std::filesystem::remove(path_); }
  std::string write(const std::string& text) {
    std::ofstream(path_) << text;
    return "--config " + path_;
  }
  std::string path_ = testing::TempDir() + fmt::format("dmltrain_config_{}.toml", getpid());
};

TEST_F(ConfigFile, CommandLineOverFileOverDefaults) {
  const std::string flag = write("model = \"m.onnx\"\ndata = \"d.bin\"\nlr = 0.5\nclip = 2\nno-shuffle = true\n");
  const Config c = parse(flag + " --lr 0.25").config;
  EXPECT_EQ(c.optimizer.learning_rate, 0.25);
  EXPECT_EQ(c.optimizer.clip, 2);
  EXPECT_FALSE(c.data.shuffle);
  EXPECT_EQ(c.optimizer.beta2, 0.999);
}

TEST_F(ConfigFile, PresetStaysBelowAFileWithoutAModel) {
  const Config c = parse(write("lr = 0.5\nepochs = 2")).config;
  EXPECT_EQ(c.model.source, preset().model.source);
  EXPECT_EQ(c.optimizer.learning_rate, 0.5);
  EXPECT_EQ(c.steps, 0);
  EXPECT_EQ(c.epochs, 2);
}

TEST_F(ConfigFile, WrittenAndReadAgainIsTheSame) {
  const char* const lines[] = {
      "",
      "--model m.onnx --data d.bin",
      "--model m\\\"x.onnx --data d.bin --lr 1e-05 --eps 1.5e-300 --clip 0.1 --epochs 2.5 --weight-decay 0",
      "--model m.onnx --data d.bin --dim N=4 --tie A=B --tie C=D --cut x,y --p 3 --d 4 --threads 2 --isa portable "
      "--no-shuffle "
      "--bucket-mb 0.3 --optimizer sgd --momentum 0.9 --seed 9223372036854775807 --save s.onnx --dump d.safetensors",
  };
  for (const char* line : lines) {
    const Config before = parse(line).config;
    const Config after = parse(write(write_config(before))).config;
    for (const OptionSpec& spec : option_table())
      EXPECT_EQ(spec.get(after), spec.get(before)) << line << ": " << spec.name;
  }
}

TEST_F(ConfigFile, RunIsNotReplayed) {
  const std::string flag = write(write_config(parse("--run r").config));
  EXPECT_EQ(parse(flag).config.run, "");
}

TEST_F(ConfigFile, ErrorsNameFileAndLine) {
  const BadLine rows[] = {
      {"lr = 1\nlearning-rate = 3\n", " line 2: unknown key 'learning-rate'"},
      {"\nmicrobatch = 3\n", " line 2: unknown key 'microbatch' (did you mean microbatches?)"},
      {"schedule = \"gpip\"\n", " line 1: schedule: 'gpip' is not one of " DML_SCHEDULES " (did you mean gpipe?)"},
      {"lr = [1, 2]\n", " line 1: lr takes one value, not an array"},
      {"[model]\nname = 3\n", " line 1: [model] is a table; the options stand at the top level, without headings"},
      {"d = 2.5\n", " line 1: d: '2.5' is not a whole number"},
      {"nesterov = 1\n", " line 1: nesterov: '1' is neither true nor false"},
      {"lr = 1979-05-27\n", " line 1: lr has a value that is neither text, number, true or false"},
  };
  for (const BadLine& row : rows) EXPECT_EQ(error_of(write(row.line)), path_ + row.error) << row.line;
  std::string deep = "lr = 1\na";
  for (int part = 0; part < 100'000; ++part) deep += ".a";
  EXPECT_EQ(error_of(write(deep + " = 1\n")), path_ + " line 2: a key of more than 256 parts");
  const std::string broken = error_of(write("lr = \n"));
  EXPECT_EQ(broken.find(path_ + " line 1: "), 0U) << broken;
  EXPECT_EQ(broken.find('\n'), std::string::npos) << broken;
}

/// `count` parts that are all `part`.
std::string key_of(const std::string& part, int count) {
  std::string key = part;
  for (int i = 1; i < count; ++i) key += "." + part;
  return key;
}

TEST_F(ConfigFile, DeepKeysAreRefusedHoweverTheyAreQuoted) {
  const std::string too_deep = ": a key of more than 256 parts";
  const std::string parts[] = {"a", "'='", R"("{[,]}")", R"("\"=")", R"("#")"};
  for (const std::string& part : parts)
    EXPECT_EQ(error_of(write(key_of(part, 257) + " = 1")), path_ + " line 1" + too_deep);
  // Strings that would go on over the key behind them if their end were taken for something else.
  const std::string strings[] = {"''",          "'\"'",         R"('\')",    R"("\\")", R"("\"")", R"("""\"""""")",
                                 R"("""a"""")", R"("""a""""")", "'''a\n''''"};
  for (const std::string& text : strings) {
    const std::string error = error_of(write("x = [" + text + ", {" + key_of("a", 257) + " = 1}]"));
    EXPECT_TRUE(error.ends_with(too_deep)) << text << ": " << error;
  }
}

TEST_F(ConfigFile, DotsOfCommentsAndStringsAreNoKeys) {
  const std::string dots(400, '.');
  EXPECT_EQ(parse(write("# " + dots + "\nlr = 0.5 # " + dots)).config.optimizer.learning_rate, 0.5);
  for (const char* quote : {"'", "\"", "'''", "\"\"\""})
    EXPECT_EQ(parse(write(std::string("save = ") + quote + dots + quote)).config.save, dots) << quote;
}

TEST(OptionTable, EveryOptionIsExplained) {
  for (const OptionSpec& spec : option_table()) {
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_FALSE(spec.group.empty()) << spec.name;
    EXPECT_EQ(spec.value.empty(), spec.kind == OptionKind::flag) << spec.name;
    EXPECT_EQ(find_option(spec.name), &spec);
  }
}

}  // namespace
}  // namespace dml
