// What processes share: the environment, collectives, buckets, sharded optimizers. Processes are threads
// here, each with a connection of its own; tests/processes runs real ones.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "base/check.h"
#include "train/optim.h"
#include "train/parallel/bucket_layout.h"
#include "train/parallel/data_parallel.h"
#include "train/parallel/environment.h"
#include "train/parallel/process_group.h"

namespace mobilevlm::train {
namespace {

Result<ProcessEnvironment> Environment(const std::map<std::string, std::string>& variables) {
  return ReadProcessEnvironment([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

TEST(ProcessEnvironment, AsTorchrunSetsIt) {
  const auto alone = Environment({});
  ASSERT_TRUE(alone.has_value());
  EXPECT_EQ(alone->size, 1);
  const auto one = Environment({{"RANK", "5"},
                                {"WORLD_SIZE", "8"},
                                {"LOCAL_RANK", "1"},
                                {"LOCAL_WORLD_SIZE", "4"},
                                {"MASTER_ADDR", "host0"},
                                {"MASTER_PORT", "29500"}});
  ASSERT_TRUE(one.has_value()) << one.error().message;
  EXPECT_EQ(one->rank, 5);
  EXPECT_EQ(one->size, 8);
  EXPECT_EQ(one->local_rank, 1);
  EXPECT_EQ(one->local_size, 4);
  EXPECT_EQ(one->master_address, "host0");
  EXPECT_EQ(one->master_port, 29500);
}

TEST(ProcessEnvironment, RefusalsNameTheVariable) {
  EXPECT_EQ(Environment({{"RANK", "1"}}).error().message.substr(0, 10), "WORLD_SIZE");
  EXPECT_EQ(Environment({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}).error().message,
            "RANK: wanted a whole number from 0 to 1, found '-1'");
  EXPECT_EQ(Environment({{"RANK", "1"}, {"WORLD_SIZE", "two"}}).error().message.substr(0, 11), "WORLD_SIZE:");
  EXPECT_EQ(Environment({{"RANK", "1"}, {"WORLD_SIZE", "2"}}).error().message.substr(0, 11), "MASTER_ADDR");
}

TEST(BucketLayout, EveryElementHasOnePlaceAndOneOwner) {
  for (const int processes : {1, 2, 3, 7}) {
    for (const int64_t bucket : {1, 40, 1000}) {
      const std::vector<int64_t> sizes{10, 1, 37, 100, 0, 5, 64};
      const BucketLayout layout(sizes, processes, bucket);
      std::vector<std::vector<int>> owners(sizes.size());
      for (size_t p = 0; p < sizes.size(); ++p) owners[p].resize(static_cast<size_t>(sizes[p]));
      for (int rank = 0; rank < processes; ++rank) {
        for (const BucketLayout::Piece& piece : layout.PiecesOf(rank)) {
          const int64_t share = layout.share(piece.bucket);
          EXPECT_GE(piece.offset, share * rank);
          EXPECT_LE(piece.offset + piece.end - piece.begin, share * (rank + 1));
          EXPECT_EQ(piece.offset, layout.offset_of(piece.parameter) + piece.begin);
          for (int64_t i = piece.begin; i < piece.end; ++i) ++owners[piece.parameter][static_cast<size_t>(i)];
        }
      }
      for (const auto& parameter : owners) {
        for (const int count : parameter) EXPECT_EQ(count, 1);
      }
      for (const auto& one : layout.buckets()) EXPECT_EQ(one.elements % processes, 0);
    }
  }
  EXPECT_EQ(BucketLayout({5, 6, 7}, 1, 1000).buckets().at(0).parameters, (std::vector<size_t>{2, 1, 0}));
}

uint16_t FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof(address);
  MVLM_CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0, "no free port");
  MVLM_CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0, "no free port");
  ::close(fd);
  return ntohs(address.sin_port);
}

// Runs body(group) as `n` processes.
void AsProcesses(int n, const std::function<void(ProcessGroup&)>& body) {
  std::vector<std::thread> threads;
  const uint16_t port = FreePort();
  for (int rank = 0; rank < n; ++rank) {
    threads.emplace_back([=, &body] {
      ProcessEnvironment environment{rank, n, rank, n, "127.0.0.1", port};
      const auto group = ProcessGroup::Join(environment, {});
      ASSERT_TRUE(group.has_value()) << group.error().message;
      body(**group);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ProcessGroup, Collectives) {
  AsProcesses(3, [](ProcessGroup& group) {
    const float rank = static_cast<float>(group.rank());
    const torch::Tensor sum = torch::tensor({rank, 1.0f});
    group.AllReduceSum(sum).Wait();
    EXPECT_TRUE(torch::equal(sum, torch::tensor({3.0f, 3.0f})));

    const torch::Tensor sent = torch::arange(6).to(torch::kFloat32) + 10 * rank, received = torch::empty({6});
    group.AllToAll(sent, received).Wait();
    for (int from = 0; from < 3; ++from) {
      EXPECT_EQ(received[2 * from].item<float>(), static_cast<float>(10 * from) + 2 * rank);
    }
    const torch::Tensor whole = torch::empty({3});
    group.AllGather(torch::full({1}, rank), whole).Wait();
    EXPECT_TRUE(torch::equal(whole, torch::tensor({0.0f, 1.0f, 2.0f})));
    EXPECT_EQ(group.Agree(group.rank() + 7), 7);
    std::vector<double> values{1.0, static_cast<double>(group.rank())};
    group.Sum(values);
    EXPECT_EQ(values, (std::vector<double>{3.0, 3.0}));
    const Status once = group.OncePerMachine([&]() -> Status {
      EXPECT_EQ(group.local_rank(), 0);
      return Fail("no disk");
    });
    EXPECT_FALSE(once.has_value());  // on every process
  });
}

// A small net, its optimizer and five steps over eight micro-batches; `inspect` sees the end.
using Inspect = std::function<void(torch::nn::Sequential& net, Optimizer& optimizer)>;
void Train(ProcessGroup& group, UpdateSharing sharing, const Inspect& inspect,
           const NamedTensors* from = nullptr) {
  torch::nn::Sequential net(torch::nn::Linear(6, 33), torch::nn::Tanh(), torch::nn::Linear(33, 1));
  {
    const torch::NoGradGuard no_gradients;
    int64_t seed = 1;
    for (torch::Tensor& parameter : net->parameters()) {
      parameter.copy_(torch::sin(torch::arange(parameter.numel()) + 0.1 * static_cast<double>(seed++))
                          .view(parameter.sizes()) *
                      0.3);
    }
  }
  Optimizer optimizer(MakeGroups(*net, {.learning_rate = 0.05, .weight_decay = 0.1}), AdamOptions{0.9, 0.98},
                      group, sharing);
  if (from != nullptr) {
    const Status loaded = optimizer.Load(*from, 5);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  }
  DataParallel parallel(ParallelOptions{.threads = 2, .processes = &group});
  for (int step = 0; step < 5; ++step) {
    const StepLoss loss = parallel.Step(optimizer.gradients(), 8, [&](size_t i) {
      const int64_t rows = 1 + static_cast<int64_t>(i) % 3;
      const torch::Tensor x =
          torch::cos(torch::arange(6 * rows) * 0.7 + static_cast<double>(step) + static_cast<double>(i))
              .view({rows, 6});
      return MicroLoss{(net->forward(x) - 0.5).square().mean(), static_cast<double>(rows), {1.0}, 10.0};
    });
    EXPECT_EQ(loss.weight, 15);
    EXPECT_EQ(loss.flops, 80);
    optimizer.Step(1.0, 0.5);
  }
  inspect(net, optimizer);
}

void ExpectClose(const NamedTensors& one, const NamedTensors& other) {
  ASSERT_EQ(one.size(), other.size());
  for (const auto& [name, tensor] : one) {
    ASSERT_TRUE(other.contains(name)) << name;
    ASSERT_EQ(tensor.sizes(), other.at(name).sizes()) << name;
    EXPECT_LT((tensor - other.at(name)).abs().max().item<double>(), 1e-6) << name;
  }
}

NamedTensors Clones(const torch::nn::Module& module) {
  NamedTensors result;
  for (const auto& item : module.named_parameters()) result[item.key()] = item.value().detach().clone();
  return result;
}

// However the work is shared, weights and optimizer state are those of one process.
TEST(Optimizer, SharedUpdatesAreTheSame) {
  NamedTensors weights, state;
  int64_t elements = 0;
  Train(*ProcessGroup::Alone(), UpdateSharing::kReplicated,
        [&](torch::nn::Sequential& net, Optimizer& optimizer) {
          weights = Clones(*net);
          state = Collected(optimizer.State());
          elements = optimizer.gradients().own_elements();
        });
  ASSERT_EQ(state.size(), 8u);
  for (const int n : {2, 3}) {
    for (const UpdateSharing sharing : {UpdateSharing::kReplicated, UpdateSharing::kSharded}) {
      AsProcesses(n, [&](ProcessGroup& group) {
        Train(group, sharing, [&](torch::nn::Sequential& net, Optimizer& optimizer) {
          ExpectClose(weights, Clones(*net));
          const NamedTensors gathered = Collected(optimizer.State());
          if (group.first()) {
            ExpectClose(state, gathered);
          } else {
            EXPECT_TRUE(gathered.empty());
          }
          const int64_t own = optimizer.gradients().own_elements();
          if (sharing == UpdateSharing::kReplicated) {
            EXPECT_EQ(own, elements);
          } else {
            EXPECT_LE(own, elements / n + 16 * 2);
          }
        });
      });
    }
  }
}

// State of one process, continued by three, is that of one that continues.
TEST(Optimizer, StateFitsAnyNumberOfProcesses) {
  NamedTensors state, weights;
  Train(*ProcessGroup::Alone(), UpdateSharing::kReplicated,
        [&](torch::nn::Sequential&, Optimizer& optimizer) { state = Collected(optimizer.State()); });
  Train(
      *ProcessGroup::Alone(), UpdateSharing::kReplicated,
      [&](torch::nn::Sequential& net, Optimizer&) { weights = Clones(*net); }, &state);
  AsProcesses(3, [&](ProcessGroup& group) {
    Train(
        group, UpdateSharing::kSharded,
        [&](torch::nn::Sequential& net, Optimizer&) { ExpectClose(weights, Clones(*net)); }, &state);
  });
  state.erase("0.weight.exp_avg");
  torch::nn::Sequential net(torch::nn::Linear(6, 33));
  Optimizer optimizer(MakeGroups(*net, {.learning_rate = 0.05, .weight_decay = 0.1}));
  EXPECT_NE(optimizer.Load(state, 5).error().message.find("'0.weight'"), std::string::npos);
}

// The model w x with w = 1: micro-batches of 3, 1 and 6 items with means 2, 10 and 4, and one of nothing,
// which is all that process 1 has. By ranks every mean counts the same, whoever has it.
TEST(DataParallel, AveragesOfUnevenMicroBatchesOfProcessesByHand) {
  const std::vector<std::vector<float>> items{{1, 2, 3}, {}, {10}, {4, 4, 4, 4, 4, 4}};
  const std::pair<LossAverage, double> kWanted[] = {{LossAverage::kToken, 4.0},
                                                    {LossAverage::kRank, 16.0 / 3}};
  for (const auto& average : kWanted) {
    AsProcesses(3, [&](ProcessGroup& group) {
      torch::Tensor w = torch::ones({1}, torch::requires_grad());
      DataParallel parallel(ParallelOptions{.threads = 1, .average = average.first, .processes = &group});
      GradientBuckets gradients({ParameterGroup{{{"w", w}}, 0.1, 0.0}}, group, UpdateSharing::kReplicated);
      const StepLoss step = parallel.Step(gradients, items.size(), [&](size_t i) {
        return MicroLoss{(w * torch::tensor(items[i])).mean(), static_cast<double>(items[i].size())};
      });
      EXPECT_DOUBLE_EQ(step.loss, average.second);
      EXPECT_EQ(step.weight, 10);
      EXPECT_FLOAT_EQ(w.grad().item<float>(), static_cast<float>(average.second));
    });
  }
}

// Parameters of both types in more buckets than travel at once: all begin with rank 0's and end with
// everyone's updates.
TEST(GradientBuckets, ManyBucketsOfBothTypes) {
  for (const UpdateSharing sharing : {UpdateSharing::kReplicated, UpdateSharing::kSharded}) {
    AsProcesses(3, [&](ProcessGroup& group) {
      constexpr int kParameters = 12;
      ParameterGroup parameters;
      for (int i = 0; i < kParameters; ++i) {
        const torch::Tensor value = torch::full({5}, i + group.rank());
        parameters.parameters.emplace_back(
            fmt::format("p{}", i),
            value.to(i % 2 == 0 ? torch::kFloat32 : torch::kBFloat16).set_requires_grad(true));
      }
      const auto expect = [&](const std::function<double(int)>& wanted) {
        for (int i = 0; i < kParameters; ++i) {
          const auto& [name, tensor] = parameters.parameters[static_cast<size_t>(i)];
          EXPECT_TRUE(torch::equal(tensor.to(torch::kFloat64), torch::full({5}, wanted(i), torch::kFloat64)))
              << name;
        }
      };
      GradientBuckets gradients({parameters}, group, sharing, /*bucket_bytes=*/8);
      gradients.BroadcastParameters();
      expect([](int i) { return i; });
      gradients.Begin(1);
      torch::Tensor loss = torch::zeros({});
      for (int i = 0; i < kParameters; ++i)
        loss =
            loss + (parameters.parameters[static_cast<size_t>(i)].second.to(torch::kFloat32) * (i + 1)).sum();
      gradients.Backward(0, loss, 1.0 + group.rank());
      gradients.Finish(0.5);  // half of (1 + 2 + 3) (i + 1)
      const torch::NoGradGuard no_gradients;
      for (const ParameterGroup& own : gradients.own_groups()) {
        for (const auto& [name, tensor] : own.parameters) torch::Tensor(tensor).sub_(tensor.grad());
      }
      gradients.ShareUpdates();
      expect([](int i) { return i - 3.0 * (i + 1); });
    });
  }
}

// Buckets that hold less than a parameter, threads, and parameters that nobody used.
TEST(GradientBuckets, SumsAndZeros) {
  const auto group = ProcessGroup::Alone();
  torch::Tensor used = torch::ones({3, 2}, torch::requires_grad()),
                unused = torch::ones({4}, torch::requires_grad());
  GradientBuckets gradients({ParameterGroup{{{"used", used}, {"unused", unused}}}}, *group,
                            UpdateSharing::kSharded, 8);
  for (int round = 0; round < 2; ++round) {
    gradients.Begin(3);
    gradients.Backward(2, (used * 4).sum(), 1.0);
    gradients.Skip(1);
    EXPECT_FALSE(used.grad().defined() && round == 0);
    gradients.Backward(0, used.sum(), 2.0);
    gradients.Finish(0.5);
    EXPECT_TRUE(torch::equal(used.grad(), torch::full({3, 2}, 3.0)));
    EXPECT_TRUE(torch::equal(unused.grad(), torch::zeros({4})));
  }
  // Outside a step the parameters behave as ever.
  torch::Tensor other = used.detach().clone().set_requires_grad(true);
  (other * used).sum().backward();
  EXPECT_TRUE(torch::equal(other.grad(), torch::ones({3, 2})));
  EXPECT_TRUE(torch::equal(used.grad(), torch::full({3, 2}, 4.0)));
}

}  // namespace
}  // namespace mobilevlm::train
