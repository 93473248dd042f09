// The tuner: how it ranks times, what it does with kernels that fail or compute nonsense, what it
// remembers, and that every kernel that it may choose is right and within the device's limits.
#include "nn/tuning/tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "nn/executable.h"
#include "nn/operation.h"
#include "nn/ops/add.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "nn/reference/reference_memory.h"
#include "nn/tuning/single_operation.h"
#include "runtime/error.h"
#include "tests/nn/expect_error.h"
#include "tests/support/device_fixture.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// c = a + b by one of the candidates "right", "right too", "wrong" (a + a), "unwritten" (nothing at
// all) and "broken" (a kernel that does not exist).
class Sum : public Operation {
 public:
  Sum(ValueId a, ValueId b, ValueId c, VariantQuestion question)
      : Operation({a, b}, {c}), question_(std::move(question)) {}
  std::string_view kind() const override { return "sum"; }
  void lower(Lowering& l) const override {
    const std::string& name = question_.candidates[l.choose(question_)];
    if (name.starts_with("right")) Add(inputs_[0], inputs_[1], outputs_[0]).lower(l);
    if (name == "wrong") Add(inputs_[0], inputs_[0], outputs_[0]).lower(l);
    if (name == "broken") {
      PlannedDispatch dispatch;
      dispatch.shader = "no_such_shader";
      l.dispatch(std::move(dispatch));
    }
  }
  void reference(ReferenceMemory& memory) const override {
    for (std::size_t i = 0; i < memory[outputs_[0]].size(); ++i) {
      memory[outputs_[0]][i] = memory[inputs_[0]][i] + memory[inputs_[1]][i];
    }
  }

 private:
  VariantQuestion question_;
};

VariantQuestion question_of(std::vector<std::string> candidates, std::string shape = "1000") {
  VariantQuestion question = {
      .family = "sum", .shape = std::move(shape), .candidates = std::move(candidates), .flops = 1};
  question.probe = [question](ProbeSize) {
    auto single = std::make_unique<SingleOperation>();
    Graph& graph = single->graph;
    for (const char* name : {"a", "b"}) {
      single->operands.push_back(graph.add_external(name, {10, 100}, DType::f32, false));
    }
    single->result = graph.add_activation("c", {10, 100});
    graph.keep(single->result);
    graph.add(
        std::make_unique<Sum>(single->operands[0], single->operands[1], single->result, question));
    return single;
  };
  return question;
}

// Of an operand, or after them the result.
Shape shape_of(const SingleOperation& single, std::size_t i) {
  return single.graph.value(i < single.operands.size() ? single.operands[i] : single.result).shape;
}

class TunerTest : public DeviceTest {
 protected:
  // A margin that no measurement overcomes takes the candidates in the order of the question.
  Tuner make(TuningMode mode = TuningMode::quick, double budget = 600) {
    return {device(),
            {.mode = mode, .budget_seconds = budget, .margin = 1e6, .cache_folder = folder_.path()},
            [this](const std::string& line) { log_ += line + "\n"; }};
  }

  std::string chosen(Tuner& tuner, const VariantQuestion& question) {
    return question.candidates[tuner.choices_for({&question, 1})->choose(question)];
  }

  TemporaryFolder folder_;
  std::string log_;
};

TEST(RankCandidates, FastestFirst) {
  const std::vector<std::optional<double>> seconds = {4.0, 2.0, 3.0};
  EXPECT_EQ(rank_candidates(seconds, 0.03), (std::vector<std::size_t>{1, 2, 0}));
}

TEST(RankCandidates, TheProposalStaysWithinTheMargin) {
  const std::vector<std::optional<double>> seconds = {1.0, 0.98, 2.0};
  EXPECT_EQ(rank_candidates(seconds, 0.03).front(), 0u);
  EXPECT_EQ(rank_candidates(seconds, 0.01).front(), 1u);
  // Only the proposal has it.
  const std::vector<std::optional<double>> others = {3.0, 1.0, 0.98};
  EXPECT_EQ(rank_candidates(others, 0.03).front(), 2u);
}

TEST(RankCandidates, WithoutThoseThatDidNotRun) {
  const std::vector<std::optional<double>> seconds = {std::nullopt, 2.0, std::nullopt, 1.0};
  EXPECT_EQ(rank_candidates(seconds, 0.03), (std::vector<std::size_t>{3, 1}));
}

TEST_F(TunerTest, AKernelWithWrongResultsIsDropped) {
  Tuner tuner = make();
  EXPECT_EQ(chosen(tuner, question_of({"wrong", "right"})), "right");
  EXPECT_NE(log_.find("WRONG RESULTS: \"wrong\" for sum 1000"), std::string::npos) << log_;
  EXPECT_EQ(tuner.summary().measured, 1u);
}

TEST_F(TunerTest, AKernelWithoutAlternativesIsCheckedWhereTheQuestionAsksForIt) {
  VariantQuestion right = question_of({"right"}), wrong = question_of({"wrong"}, "2000");
  Tuner tuner = make();
  EXPECT_EQ(chosen(tuner, wrong), "wrong");
  EXPECT_EQ(tuner.summary().measured, 0u);
  right.check_alone = wrong.check_alone = true;
  EXPECT_EQ(chosen(tuner, right), "right");
  EXPECT_EQ(tuner.summary().measured, 1u);
  expect_error<DeviceError>([&] { chosen(tuner, wrong); }, {"sum 2000", "--tune off"});
  EXPECT_NE(log_.find("WRONG RESULTS: \"wrong\" for sum 2000"), std::string::npos) << log_;
  // It is remembered.
  Tuner second = make();
  EXPECT_EQ(chosen(second, right), "right");
  EXPECT_EQ(second.summary().measured, 0u);
}

// Its memory must not hold what another candidate wrote there.
TEST_F(TunerTest, AKernelThatWritesNothingIsDropped) {
  const VariantQuestion question = question_of({"right", "unwritten"});
  EXPECT_EQ(verify_candidate(device(), question, 0), "");
  EXPECT_NE(verify_candidate(device(), question, 1), "");
}

TEST_F(TunerTest, AKernelThatDoesNotRunIsSkipped) {
  Tuner tuner = make();
  EXPECT_EQ(chosen(tuner, question_of({"broken", "right"})), "right");
  EXPECT_NE(log_.find("\"broken\" does not run"), std::string::npos) << log_;
}

TEST_F(TunerTest, WithoutAnyRightKernelItEndsAndRemembersNothing) {
  Tuner tuner = make();
  for (int attempt = 0; attempt < 2; ++attempt) {
    expect_error<DeviceError>(
        [&] {
          chosen(tuner, question_of({"wrong", "broken"}));
        },
        {"sum 1000", device().profile().name, "--tune off"});
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  // Nor do answers to other questions bring it there.
  chosen(tuner, question_of({"right", "wrong"}, "1"));
  EXPECT_EQ(TuningStore(folder_.path(), device().profile()).load().size(), 1u);
}

TEST_F(TunerTest, AnswersAreRemembered) {
  Tuner first = make();
  chosen(first, question_of({"wrong", "right"}));
  EXPECT_TRUE(first.summary().remembered);
  Tuner second = make();
  EXPECT_EQ(chosen(second, question_of({"wrong", "right"})), "right");
  EXPECT_EQ(second.summary().measured, 0u);
  EXPECT_EQ(second.used().at({"sum", "1000"}), "right");
}

TEST_F(TunerTest, AnAnswerThatIsNoCandidateAnyMoreIsMeasuredAnew) {
  Tuner first = make();
  chosen(first, question_of({"wrong", "right"}));
  VariantChoices choices;
  choices.answer("sum", "1000", "gone");
  const VariantQuestion question = question_of({"right", "wrong"});
  EXPECT_FALSE(choices.answers(question));
  EXPECT_EQ(choices.choose(question), 0u);
  Tuner second = make();
  EXPECT_EQ(chosen(second, question_of({"right too", "wrong"})), "right too");
  EXPECT_EQ(second.summary().measured, 1u);
  Tuner third = make();
  EXPECT_EQ(chosen(third, question_of({"right too", "wrong"})), "right too");
  EXPECT_EQ(third.summary().measured, 0u);
}

// What the budget left no time for is remembered as proposed, so that the next run is the same;
// `full` measures it.
TEST_F(TunerTest, ASpentBudgetIsRememberedToo) {
  Tuner none = make(TuningMode::quick, 0);
  EXPECT_EQ(chosen(none, question_of({"wrong", "right"})), "wrong");
  EXPECT_EQ(none.summary().unmeasured, 1u);
  Tuner again = make();
  EXPECT_EQ(chosen(again, question_of({"wrong", "right"})), "wrong");
  Tuner full = make(TuningMode::full, 0);
  EXPECT_EQ(chosen(full, question_of({"wrong", "right"})), "right");
}

// The log takes what is left of the budget while the contest is under way.
TEST_F(TunerTest, AContestCutOffIsRememberedButNotMeasured) {
  const std::vector<std::string> candidates = {"broken", "right"};
  Tuner quick(device(),
              {.mode = TuningMode::quick, .budget_seconds = 0.2, .cache_folder = folder_.path()},
              [](const std::string&) { std::this_thread::sleep_for(std::chrono::seconds(1)); });
  EXPECT_EQ(chosen(quick, question_of(candidates)), "right");
  EXPECT_EQ(quick.summary().measured, 0u);
  EXPECT_EQ(quick.summary().unmeasured, 1u);
  Tuner again = make();
  EXPECT_EQ(chosen(again, question_of(candidates)), "right");
  EXPECT_EQ(again.summary().measured + again.summary().unmeasured, 0u);
  for (const std::size_t measured : {1u, 0u}) {
    Tuner full = make(TuningMode::full);
    EXPECT_EQ(chosen(full, question_of(candidates)), "right");
    EXPECT_EQ(full.summary().measured, measured);
  }
}

TEST_F(TunerTest, AContestTimesNothingAfterItsDeadline) {
  ContestOptions options;
  const auto log = [](const std::string&) {};
  const VariantQuestion question = question_of({"right", "right too", "wrong"});
  const ContestTimes whole = time_candidates(device(), question, options, log);
  EXPECT_TRUE(whole.complete);
  EXPECT_EQ(std::count(whole.seconds.begin(), whole.seconds.end(), std::nullopt), 0);
  options.deadline = std::chrono::steady_clock::now();
  const ContestTimes none = time_candidates(device(), question, options, log);
  EXPECT_FALSE(none.complete);
  EXPECT_EQ(std::count(none.seconds.begin(), none.seconds.end(), std::nullopt), 3);
}

TEST_F(TunerTest, OffMeasuresAndRemembersNothing) {
  Tuner tuner = make(TuningMode::off);
  EXPECT_EQ(chosen(tuner, question_of({"wrong", "right"})), "wrong");
  EXPECT_EQ(tuner.used().at({"sum", "1000"}), "wrong");
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(TunerTest, StoresOfTwoProcessesMerge) {
  Tuner first = make(), second = make();
  chosen(first, question_of({"wrong", "right"}, "1"));
  chosen(second, question_of({"wrong", "right"}, "2"));
  TuningStore store(folder_.path(), device().profile());
  EXPECT_EQ(store.load().size(), 2u);
}

// Both began before either had an answer; the later one takes the other's, which may be in use.
TEST_F(TunerTest, OfTwoFirstRunsTheFirstAnswers) {
  Tuner first = make(), second = make();
  EXPECT_EQ(chosen(first, question_of({"right", "right too"})), "right");
  EXPECT_EQ(chosen(second, question_of({"right too", "right"})), "right");
  EXPECT_EQ(second.summary().measured, 1u);
  Tuner third = make();
  EXPECT_EQ(chosen(third, question_of({"right too", "right"})), "right");
}

TEST(TuningStoreMerge, TheirsStayUnlessOnlyOursAreMeasured) {
  const VariantChoices::Key key = {"f", "1"};
  for (const bool measured : {false, true}) {
    const TunedKernels ours = {{key, {"ours", measured}}}, theirs = {{key, {"theirs", measured}}};
    EXPECT_EQ(merge(ours, theirs), theirs);
  }
}

TEST(TuningStoreMerge, MeasuredKernelsStayBeforeProposals) {
  const TunedKernels measured = {{{"f", "1"}, {"fast", true}}};
  const TunedKernels proposed = {{{"f", "1"}, {"proposal", false}}, {{"f", "2"}, {"x", false}}};
  const TunedKernels both = {{{"f", "1"}, {"fast", true}}, {{"f", "2"}, {"x", false}}};
  EXPECT_EQ(merge(proposed, measured), both);
  EXPECT_EQ(merge(measured, proposed), both);
}

TEST_F(TunerTest, DamagedAndForeignFilesAreIgnoredAndRewritten) {
  const TunedKernels kernels = {{{"sum", "1"}, {"right", true}}};
  TuningStore store(folder_.path(), device().profile());
  ASSERT_TRUE(store.save(kernels));
  const std::filesystem::path file = folder_.path() / store.file_name();
  for (const char* text :
       {"", "{", "[]", "{\"format\": 2}", "\xff\xfe",
        "{\"format\": 2, \"owner\": {\"device\": \"other\"}, \"kernels\": []}"}) {
    std::ofstream(file) << text;
    EXPECT_TRUE(store.load().empty()) << text;
    EXPECT_NE(store.problem(), "") << text;
    EXPECT_TRUE(store.save(kernels));
    EXPECT_EQ(store.load(), kernels);
    EXPECT_EQ(store.problem(), "");
  }
}

TEST_F(TunerTest, AnotherDriverHasAnotherFile) {
  runtime::DeviceProfile other = device().profile();
  other.driver_info += "x";
  TuningStore mine(folder_.path(), device().profile()), theirs(folder_.path(), other);
  EXPECT_NE(mine.file_name(), theirs.file_name());
}

TEST_F(TunerTest, WithoutACacheNothingIsRemembered) {
  TuningStore store(std::nullopt, device().profile());
  EXPECT_FALSE(store.save({{{"sum", "1"}, {"right", true}}}));
  EXPECT_TRUE(store.load().empty());
}

TEST(TuningSummaryText, SaysWhatHappened) {
  EXPECT_EQ(to_string(TuningSummary{}), "");
  EXPECT_EQ(to_string(TuningSummary{.measured = 9, .seconds = 1.84, .remembered = true}),
            "tuned 9 kernels in 1.8 s; remembered for this device");
  EXPECT_EQ(to_string(TuningSummary{.unmeasured = 3, .seconds = 2, .remembered = true}),
            "tuned 0 kernels in 2.0 s, 3 more not measured to the end (--tune full does); "
            "remembered for this device");
  EXPECT_EQ(to_string(TuningSummary{.measured = 1, .unmeasured = 2, .seconds = 2}),
            "tuned 1 kernel in 2.0 s, 2 more not measured to the end (--tune full does); "
            "not remembered");
}

// The questions of real operations: every candidate is right, alone and as the plan's choice.
TEST_F(TunerTest, EveryCandidateIsRight) {
  std::vector<std::unique_ptr<SingleOperation>> singles;
  for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    singles.push_back(single_gemm({form, 130, 70, 300}));
    singles.push_back(single_gemm({form, 128, 256, 512}));
  }
  singles.push_back(single_gemm({GemmForm::tn, 64, 100, 512, Precision::f32, false}));
  for (const Conv2dPass pass :
       {Conv2dPass::forward, Conv2dPass::data_gradient, Conv2dPass::weight_gradient}) {
    singles.push_back(single_conv2d(
        {pass, 20, 4, 6, {9, 9}, {.window = {.kernel = {3, 3}, .padding_begin = {1, 1}}}}));
  }
  // Sums of 800 products, and their partial sums, are large.
  singles.push_back(single_conv2d(
      {Conv2dPass::forward,
       64,
       32,
       64,
       {14, 14},
       {.window = {.kernel = {5, 5}, .padding_begin = {2, 2}, .padding_end = {2, 2}}}}));
  std::size_t checked = 0;
  for (const auto& single : singles) {
    const Plan plan(single->graph, ParameterLayout(single->parameters), device().profile(), {});
    ASSERT_EQ(plan.questions().size(), 1u);
    const VariantQuestion& question = plan.questions().front();
    for (std::size_t i = 0; i < question.candidates.size(); ++i) {
      EXPECT_EQ(verify_candidate(device(), question, i), "")
          << question.family << " " << question.shape << " " << question.candidates[i];
      ++checked;
    }
  }
  EXPECT_GT(checked, singles.size());
}

// The reference takes a while for each multiply-add.
TEST_F(TunerTest, ASmallConvolutionIsSmallInEveryDimension) {
  for (const Conv2dPass pass :
       {Conv2dPass::forward, Conv2dPass::data_gradient, Conv2dPass::weight_gradient}) {
    const auto single = single_conv2d(
        {pass, 21, 67, 135, {115, 131}, {.window = {.kernel = {3, 3}, .stride = {2, 2}}}});
    const Plan plan(single->graph, ParameterLayout(single->parameters), device().profile(), {});
    const auto small = plan.questions().front().probe(ProbeSize::small);
    EXPECT_LE(small->flops, 5e7);
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
      const Shape whole = shape_of(*single, i), cut = shape_of(*small, i);
      for (std::size_t d = 0; d < 4; ++d) EXPECT_EQ(cut[d] % 8, whole[d] % 8) << i << " " << d;
    }
  }
}

// A forced choice reaches the plan's dispatches.
TEST_F(TunerTest, PlansTakeTheAnswer) {
  const auto single = single_gemm({GemmForm::nt, 64, 64, 64});
  const ParameterLayout layout(single->parameters);
  const Plan proposed(single->graph, layout, device().profile(), {});
  const VariantQuestion& question = proposed.questions().front();
  std::set<std::string> kernels;
  for (const std::string& candidate : question.candidates) {
    VariantChoices choices;
    choices.answer(question.family, question.shape, candidate);
    PlanOptions options;
    options.variants = std::make_shared<const VariantChoices>(choices);
    const Plan plan(single->graph, layout, device().profile(), options);
    const PlannedDispatch& dispatch = plan.operations().front().dispatches.front();
    kernels.insert(runtime::to_string({dispatch.shader, dispatch.constants}) +
                   fmt::format(" {}", dispatch.groups[2]));
  }
  EXPECT_EQ(kernels.size(), question.candidates.size());
}

}  // namespace
}  // namespace vktrain::testing
