// Password files, and credentials of every kind.
#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "source/extension/auth/authenticator.h"
#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

using Hashes = PasswordFile::Hashes;

// user: test1; bcrypt, sha512, sha256 with few rounds: "secret".
constexpr char kUsers[] =
    "# people\n"
    "sha:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=\r\n"
    "\n"
    "bcrypt:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"
    "sha512:$6$rounds=1000$salt$"
    "HNxBeBnDfSfUrTj6KiLnmd7tGCvHEmcExh8kl/S0cZ5WrCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.\n";

PasswordFile Parse(std::string_view text) {
  auto file = PasswordFile::Parse(text, Hashes::kAll);
  INFO(Std(file.status().message()));
  REQUIRE(file.ok());
  return *std::move(file);
}

TEST_CASE("password files", "[auth]") {
  const PasswordFile file = Parse(kUsers);
  REQUIRE(file.users().size() == 3);
  CHECK(file.Find("bcrypt") == 1u);
  CHECK_FALSE(file.Find("# people").has_value());
  CHECK(PasswordFile::MatchesSha(file.users()[0], "test1"));
  CHECK_FALSE(PasswordFile::MatchesSha(file.users()[0], "test2"));
  for (const size_t user : {1, 2}) {
    CHECK(PasswordFile::MatchesCrypt(file.users()[user].crypt, "secret"));
    CHECK_FALSE(PasswordFile::MatchesCrypt(file.users()[user].crypt, "Secret"));
  }
}

TEST_CASE("what a password file must not be", "[auth]") {
  struct Row {
    const char* text;
    Hashes hashes;
    const char* message;
  };
  const Row rows[] = {
      {"", Hashes::kAll, "there is no user"},
      {"\nname\n", Hashes::kAll, "line 2: name:hash is expected"},
      {":{SHA}x", Hashes::kAll, "line 1: name:hash is expected"},
      {"a:{SHA}eA==", Hashes::kAll, "line 1: a {SHA} digest is 20 bytes in base64"},
      {"a:plain", Hashes::kAll,
       "line 1: unknown kind of hash: use htpasswd -B (bcrypt), -5 (SHA-512) or -s ({SHA})"},
      {"a:$apr1$x$y", Hashes::kAll,
       "line 1: unknown kind of hash: use htpasswd -B (bcrypt), -5 (SHA-512) or -s ({SHA})"},
      {"a:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", Hashes::kShaOnly,
       "line 1: unsupported htpasswd format: please use {SHA}"},
      {"a:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=\na:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=", Hashes::kAll,
       "line 2: duplicate user a"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(Std(PasswordFile::Parse(row.text, row.hashes).status().message()) == row.message);
  }
}

std::string Basic(std::string_view credentials) {
  return Cat("Basic ", Std(absl::Base64Escape(Absl(credentials))));
}

Task<> Run(const Authenticator& authenticator, std::string_view field, Exchange& exchange,
           LoginResult* out) {
  *out = co_await authenticator.Check(field, exchange);
  exchange.worker().Stop();
}

// At once, or by the thread of the hashes.
LoginResult Ask(const Authenticator& authenticator, std::string_view field) {
  if (const auto result = authenticator.TryCheck(field, 0)) return *result;
  testing::TestExchange test;
  Exchange& exchange = test;
  LoginResult result;
  exchange.worker().scope().Spawn(Run(authenticator, field, exchange, &result));
  exchange.worker().Run();
  return result;
}

TEST_CASE("credentials", "[auth]") {
  const Authenticator authenticator(Parse(kUsers), 2);
  struct Row {
    std::string field;
    Login login;
    uint32_t user;
  };
  const Row rows[] = {
      {Basic("sha:test1"), Login::kGood, 0},
      {"bAsIc   c2hhOnRlc3Qx", Login::kGood, 0},
      {Basic("sha:test2"), Login::kWrong, 0},
      {Basic("bcrypt:secret"), Login::kGood, 1},
      {Basic("bcrypt:test1"), Login::kWrong, 0},
      {Basic("sha512:secret"), Login::kGood, 2},
      {Basic("nobody:secret"), Login::kWrong, 0},
      {Basic(":"), Login::kWrong, 0},
      {Basic("sha"), Login::kMalformed, 0},
      {Basic(std::string_view("sha:test1\0x", 11)), Login::kMalformed, 0},
      {Basic(std::string(5000, 'x')), Login::kMalformed, 0},
      {"Basic c2hh OnRlc3Qx", Login::kMalformed, 0},
      {"Basic !", Login::kMalformed, 0},
      {"Basic ", Login::kMalformed, 0},
      {"Bearer x", Login::kScheme, 0},
      {"", Login::kScheme, 0},
  };
  // The second time the answer is remembered, and the same.
  for (int time = 0; time < 2; ++time) {
    for (const Row& row : rows) {
      CAPTURE(row.field, time);
      const LoginResult result = Ask(authenticator, row.field);
      CHECK(result.login == row.login);
      if (row.login == Login::kGood) CHECK(result.user == row.user);
    }
  }
  CHECK(authenticator.TryCheck(std::nullopt, 0)->login == Login::kNone);
  // What one worker found right costs the others no hash.
  CHECK(authenticator.TryCheck(Basic("bcrypt:secret"), 1)->login == Login::kGood);
  CHECK_FALSE(authenticator.TryCheck(Basic("bcrypt:wrong"), 1).has_value());
}

}  // namespace
}  // namespace sluice
