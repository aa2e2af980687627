// What is embedded is what stands in the folder, complete, and keeps to its own policy.
#include "serve/web/assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace mobilevlm::serve {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path kFolder = fs::path(MOBILEVLM_SOURCE_DIR) / "src/serve/web";

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::map<std::string, Asset> ByPath() {
  std::map<std::string, Asset> assets;
  for (const Asset& asset : Assets()) assets[std::string(asset.path)] = asset;
  return assets;
}

std::string Page() { return std::string(ByPath().at("/").body); }

TEST(Assets, HoldEveryFileOfTheFolderByteForByte) {
  const auto assets = ByPath();
  EXPECT_EQ(assets.size(), Assets().size()) << "two assets at one path";
  EXPECT_EQ(Assets()[0].path, "/");
  const std::map<std::string, std::string> types{{".html", "text/html; charset=utf-8"},
                                                 {".css", "text/css; charset=utf-8"},
                                                 {".js", "text/javascript; charset=utf-8"},
                                                 {".svg", "image/svg+xml"}};
  int files = 0;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    const auto type = types.find(entry.path().extension());
    if (type == types.end()) continue;
    const std::string name = entry.path().filename();
    const std::string path = name == "index.html" ? "/" : "/" + name;
    ASSERT_TRUE(assets.contains(path)) << path;
    EXPECT_EQ(assets.at(path).body, Read(entry.path())) << path;
    EXPECT_EQ(assets.at(path).content_type, type->second) << path;
    ++files;
  }
  EXPECT_GE(files, 9);
  const Asset farm = assets.at("/examples/farm.png");
  EXPECT_EQ(farm.body, Read(fs::path(MOBILEVLM_SOURCE_DIR) / "models/mini/samples/farm.png"));
  EXPECT_EQ(farm.content_type, "image/png");
}

TEST(Assets, EtagsAreQuotedAndTellContentsApart) {
  std::set<std::string_view> etags;
  for (const Asset& asset : Assets()) {
    EXPECT_TRUE(std::regex_match(std::string(asset.etag), std::regex("\"[0-9a-f]{16}\""))) << asset.path;
    etags.insert(asset.etag);
  }
  EXPECT_EQ(etags.size(), Assets().size());
}

TEST(Assets, StaySmall) {
  size_t total = 0;
  for (const Asset& asset : Assets()) total += asset.body.size();
  EXPECT_LT(total, 100'000u);
}

// Everything that the page and its modules name is here; nothing comes from elsewhere.
TEST(Assets, ReferToNothingButEachOther) {
  const auto assets = ByPath();
  const std::regex reference(R"re((?:src|href|data-picture|from|import)(?:=| )"([^"#][^"]*)")re");
  int references = 0;
  for (const auto& [path, asset] : assets) {
    if (asset.content_type.starts_with("image/")) continue;
    const std::string text(asset.body);
    EXPECT_THAT(text, Not(HasSubstr("http:"))) << path;
    EXPECT_THAT(text, Not(HasSubstr("https:"))) << path;
    EXPECT_THAT(text, Not(HasSubstr("url("))) << path;
    for (std::sregex_iterator it(text.begin(), text.end(), reference), end; it != end; ++it, ++references) {
      std::string target = (*it)[1];
      if (target.starts_with("./")) target = target.substr(2);
      EXPECT_TRUE(assets.contains("/" + target)) << path << " refers to " << target;
    }
  }
  EXPECT_GE(references, 12);
}

TEST(Assets, NothingInlineThatThePolicyWouldRefuse) {
  const std::string page = Page();
  EXPECT_FALSE(std::regex_search(page, std::regex(R"(<script(?![^>]*\ssrc=))"))) << "an inline script";
  EXPECT_FALSE(std::regex_search(page, std::regex(R"(<style|\sstyle=|\son[a-z]+=)")))
      << "inline style or handler";
  EXPECT_EQ(kContentSecurityPolicy.find("unsafe"), std::string_view::npos);
}

}  // namespace
}  // namespace mobilevlm::serve
