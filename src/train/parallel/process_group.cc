#include "train/parallel/process_group.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include "base/check.h"
#include "train/parallel/heartbeat.h"
#include "train/stop_signal.h"

namespace mobilevlm::train {
namespace {

// A process that lives but never comes ends the job too, after half an hour, PyTorch's own limit: ranks may
// wait that long for one that writes a large file.
constexpr std::chrono::minutes kLongestWait(30);

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

// The address of the interface that leads to host:port, as text. Nothing is sent.
Result<std::string> AddressTowards(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found)) {
    return Fail("MASTER_ADDR {}: {}", host, ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, FreeAddresses> list(found);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    const int fd = ::socket(entry->ai_family, SOCK_DGRAM, 0);
    if (fd < 0) continue;
    sockaddr_storage local{};
    socklen_t length = sizeof(local);
    char text[NI_MAXHOST];
    const bool known = ::connect(fd, entry->ai_addr, entry->ai_addrlen) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) == 0 &&
                       ::getnameinfo(reinterpret_cast<sockaddr*>(&local), length, text, sizeof(text), nullptr,
                                     0, NI_NUMERICHOST) == 0;
    ::close(fd);
    if (known) return std::string(text);
  }
  return Fail("MASTER_ADDR {}: no network interface leads there", host);
}

Result<c10::intrusive_ptr<c10d::ProcessGroup>> MakeGloo(const ProcessEnvironment& environment,
                                                        c10::intrusive_ptr<c10d::Store> store) {
  auto options = c10d::ProcessGroupGloo::Options::create(kLongestWait);
  if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME")) {
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(interface));
  } else {
    MVLM_ASSIGN(const std::string address,
                AddressTowards(environment.master_address, environment.master_port));
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
  }
  return c10::intrusive_ptr<c10d::ProcessGroup>(c10::make_intrusive<c10d::ProcessGroupGloo>(
      std::move(store), environment.rank, environment.size, options));
}

}  // namespace

struct ProcessGroup::Connection {
  c10::intrusive_ptr<c10d::TCPStore> store;
  std::unique_ptr<Heartbeat> heartbeat;
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  at::Device device = at::kCPU;  // where the collectives' tensors must be: NCCL knows GPUs only

  // Starts an operation of c10d; an exception there means a broken connection too.
  template <class Start>
  Pending Launch(std::vector<at::Tensor> tensors, const Start& start);

  // A collective failed: someone is gone. Who, the heartbeat finds out; PeerLost says so.
  [[noreturn]] void Failed(const std::string& reason) const {
    const std::optional<std::string> verdict = heartbeat->AwaitVerdict();
    throw PeerLost(verdict ? *verdict : "the connection between the processes failed: " + reason);
  }
};

struct ProcessGroup::Pending::Impl {
  c10::intrusive_ptr<c10d::Work> work;
  const Connection* connection;
  std::vector<at::Tensor> tensors;  // kept alive
};

template <class Start>
ProcessGroup::Pending ProcessGroup::Connection::Launch(std::vector<at::Tensor> tensors, const Start& start) {
  for (const at::Tensor& tensor : tensors)
    MVLM_CHECK(tensor.is_contiguous(), "collectives take whole blocks");
  Pending pending;
  try {
    pending.impl_ = std::make_shared<Pending::Impl>(Pending::Impl{start(), this, std::move(tensors)});
  } catch (const std::exception& error) {
    Failed(error.what());
  }
  return pending;
}

void ProcessGroup::Pending::Wait() {
  if (!impl_) return;
  const std::shared_ptr<Impl> impl = std::move(impl_);
  try {
    impl->work->wait();
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    impl->connection->Failed(reason.substr(0, reason.find('\n')));
  }
}

bool ProcessGroup::Pending::Done() const { return !impl_ || impl_->work->isCompleted(); }

const std::vector<std::string>& ProcessGroup::Backends() {
  static const std::vector<std::string> names{
      "gloo",
#ifdef USE_C10D_NCCL
      "nccl",
#endif
  };
  return names;
}

ProcessGroup::ProcessGroup(ProcessEnvironment environment, std::unique_ptr<Connection> connection)
    : environment_(std::move(environment)), connection_(std::move(connection)) {}

ProcessGroup::~ProcessGroup() {
  if (!connection_) return;
  const bool broken = connection_->heartbeat->broken();
  connection_->heartbeat.reset();  // goodbye
  // Gloo's destructor waits for the operations that it has begun, also for those with a frozen process, and
  // the store's for a message that such a process has half sent: what is broken stays until the program ends.
  if (broken) static_cast<void>(connection_.release());
}

std::unique_ptr<ProcessGroup> ProcessGroup::Alone() {
  return std::unique_ptr<ProcessGroup>(new ProcessGroup({}, nullptr));
}

Result<std::unique_ptr<ProcessGroup>> ProcessGroup::Join(const ProcessEnvironment& environment,
                                                         const ProcessGroupOptions& options) {
  if (environment.size == 1) return Alone();
  // Gloo writes to its sockets with writev: without this, whoever writes to a process that has just died
  // would end too, without a word, and be taken for the one that was lost.
  ::signal(SIGPIPE, SIG_IGN);
  // The threads of the store, of Gloo and of the heartbeat leave Ctrl-C and SIGTERM to the caller's: they
  // inherit what the thread that starts them blocks.
  Result<std::unique_ptr<ProcessGroup>> joined;
  std::thread([&] {
    const StopSignal blocked;
    joined = Meet(environment, options);
  }).join();
  return joined;
}

Result<std::unique_ptr<ProcessGroup>> ProcessGroup::Meet(const ProcessEnvironment& environment,
                                                         const ProcessGroupOptions& options) {
  const std::string where =
      fmt::format("process {} of {}, meeting at {}:{}", environment.rank, environment.size,
                  environment.master_address, environment.master_port);
  auto connection = std::make_unique<Connection>();
  try {
    c10d::TCPStoreOptions store;
    store.port = environment.master_port;
    store.isServer = environment.rank == 0;
    store.numWorkers = static_cast<size_t>(environment.size);
    store.timeout = std::chrono::seconds(options.join_seconds);
    connection->store = c10::make_intrusive<c10d::TCPStore>(environment.master_address, store);
    const auto prefixed = c10::make_intrusive<c10d::PrefixStore>("collectives", connection->store);
    if (options.backend.empty() || options.backend == "gloo") {
      MVLM_ASSIGN(connection->group, MakeGloo(environment, prefixed));
#ifdef USE_C10D_NCCL
    } else if (options.backend == "nccl") {
      connection->group =
          c10::make_intrusive<c10d::ProcessGroupNCCL>(prefixed, environment.rank, environment.size);
      connection->device = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(environment.local_rank));
#endif
    } else {
      return Fail("backend: wanted one of {}, found '{}'", fmt::join(Backends(), ", "), options.backend);
    }
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    return Fail("{}: {}", where, reason.substr(0, reason.find('\n')));
  }
  auto heartbeat = Heartbeat::Start(environment, options.patience, options.on_lost);
  if (!heartbeat) return Context(heartbeat.error(), "{}", where);
  connection->heartbeat = std::move(*heartbeat);
  std::unique_ptr<ProcessGroup> group(new ProcessGroup(environment, std::move(connection)));
  try {
    group->Barrier();
  } catch (const PeerLost& lost) {
    return Fail("{}: {}", where, lost.what());
  }
  return group;
}

int ProcessGroup::threads_per_process() const {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / environment_.local_size);
}

ProcessGroup::Pending ProcessGroup::AllReduceSum(const at::Tensor& tensor) {
  if (alone()) return {};
  std::vector<at::Tensor> tensors{tensor};
  return connection_->Launch(tensors, [&] { return connection_->group->allreduce(tensors); });
}

ProcessGroup::Pending ProcessGroup::AllToAll(const at::Tensor& sent, const at::Tensor& received) {
  if (alone()) {
    received.copy_(sent);
    return {};
  }
  at::Tensor input = sent, output = received;
  std::vector<int64_t> equal;
  return connection_->Launch({sent, received},
                             [&] { return connection_->group->alltoall_base(output, input, equal, equal); });
}

ProcessGroup::Pending ProcessGroup::AllGather(const at::Tensor& part, const at::Tensor& whole) {
  if (alone()) {
    whole.copy_(part);
    return {};
  }
  std::vector<at::Tensor> input{part};
  std::vector<std::vector<at::Tensor>> output{whole.chunk(size())};
  return connection_->Launch({part, whole}, [&] { return connection_->group->allgather(output, input); });
}

ProcessGroup::Pending ProcessGroup::Broadcast(const at::Tensor& tensor, int from) {
  if (alone()) return {};
  std::vector<at::Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = from;
  return connection_->Launch(tensors, [&] { return connection_->group->broadcast(tensors, options); });
}

void ProcessGroup::Sum(std::vector<double>& values) {
  if (alone() || values.empty()) return;
  at::Tensor host = at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble);
  const at::Tensor sum = host.to(connection_->device);
  AllReduceSum(sum).Wait();
  host.copy_(sum);
}

void ProcessGroup::Barrier() {
  std::vector<double> one{1};
  Sum(one);
}

Status ProcessGroup::OncePerMachine(const std::function<Status()>& work) {
  return Together(local_rank() == 0 ? work() : Status{});
}

Status ProcessGroup::Together(Status own) {
  std::vector<double> failures{own ? 0.0 : 1.0};
  Sum(failures);
  if (own && failures[0] > 0) return Fail("another process of the job failed at the same point");
  return own;
}

int64_t ProcessGroup::Agree(int64_t value) {
  if (alone()) return value;
  const at::Tensor agreed = at::scalar_tensor(value, at::kLong).to(connection_->device);
  Broadcast(agreed, 0).Wait();
  return agreed.item<int64_t>();
}

void ProcessGroup::Publish(const std::string& message) {
  if (connection_) connection_->heartbeat->Publish(message);
}

}  // namespace mobilevlm::train
