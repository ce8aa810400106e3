#include "wire/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {
namespace {

// An identifier made of a random UUID, which needs no registration (ITU-T X.667).
constexpr char kBindingOid[] = "2.25.268416531733425612380963294518066128341";
constexpr std::string_view kSignedPrefix = "fallow tls binding 1:";  // then the key, as DER
constexpr std::string_view kNameSuffix = ".peer";

using Signature = std::array<std::uint8_t, 64>;
constexpr std::size_t kBindingBytes = sizeof(PeerId::bytes) + sizeof(Signature);

template <auto kFree>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
template <class T, auto kFree>
using Owned = std::unique_ptr<T, Deleter<kFree>>;

using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnedCertificate = Owned<X509, X509_free>;
using OwnedBio = Owned<BIO, BIO_free>;
using OwnedObject = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;
using OwnedOctets = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using OwnedExtension = Owned<X509_EXTENSION, X509_EXTENSION_free>;

// For calls that fail only if memory does, or the library is broken.
void MustHold(bool ok) {
  if (!ok) {
    std::abort();
  }
}

OwnedObject BindingOid() { return OwnedObject(OBJ_txt2obj(kBindingOid, 1)); }

// The public key in the form in which certificates hold it (SubjectPublicKeyInfo).
std::string DerOf(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) {
    return "";
  }
  std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

std::string MessageToSign(EVP_PKEY* key) {
  return absl::StrCat(std::string(kSignedPrefix), DerOf(key));
}

std::string MakeBinding(const Identity& identity, EVP_PKEY* key) {
  const PeerId& peer = identity.peer();
  const Signature signature = identity.Sign(MessageToSign(key));
  std::string binding(peer.bytes.begin(), peer.bytes.end());
  binding.append(signature.begin(), signature.end());
  return binding;
}

void AddBinding(X509* certificate, const std::string& binding) {
  const OwnedOctets octets(ASN1_OCTET_STRING_new());
  MustHold(ASN1_OCTET_STRING_set(octets.get(),
                                 reinterpret_cast<const unsigned char*>(binding.data()),
                                 static_cast<int>(binding.size())));
  const OwnedExtension extension(
      X509_EXTENSION_create_by_OBJ(nullptr, BindingOid().get(), 0, octets.get()));
  MustHold(X509_add_ext(certificate, extension.get(), -1));
}

// gRPC logs an error for each connection to a certificate that does not carry the name asked for.
void AddName(X509* certificate, const PeerId& peer) {
  X509_NAME* const name = X509_get_subject_name(certificate);
  MustHold(X509_NAME_add_entry_by_txt(
      name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("fallow peer"), -1, -1, 0));
  MustHold(X509_set_issuer_name(certificate, name));
  const std::string alternative = "DNS:" + TlsNameOf(peer);
  const OwnedExtension extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative.c_str()));
  MustHold(X509_add_ext(certificate, extension.get(), -1));
}

void SetSerialNumber(X509* certificate) {
  std::uint64_t number = 0;
  MustHold(RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof(number)) == 1);
  MustHold(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number >> 1));
}

void SetTime(ASN1_TIME* time, absl::Duration from_now) {
  const std::int64_t seconds = absl::ToInt64Seconds(from_now);
  MustHold(X509_time_adj_ex(time, static_cast<int>(seconds / 86400),
                            static_cast<long>(seconds % 86400), nullptr) != nullptr);
}

std::string TextOf(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return std::string(text, static_cast<std::size_t>(size));
}

// Null if it is none.
OwnedCertificate ParsePem(std::string_view pem) {
  const OwnedBio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  OwnedCertificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();  // else the TLS library finds our error, and takes it for its own
  return certificate;
}

// Empty if there is none, or more than one.
std::string FindBinding(const X509* certificate) {
  const OwnedObject oid = BindingOid();
  const int index = X509_get_ext_by_OBJ(certificate, oid.get(), -1);
  if (index < 0 || X509_get_ext_by_OBJ(certificate, oid.get(), index) >= 0) {
    return "";
  }
  const ASN1_OCTET_STRING* const octets = X509_EXTENSION_get_data(X509_get_ext(certificate, index));
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(octets)),
                     static_cast<std::size_t>(ASN1_STRING_length(octets)));
}

bool IsP256(const EVP_PKEY* key) {
  char group[32] = "";
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group, sizeof(group), nullptr) == 1 &&
         std::strcmp(group, "prime256v1") == 0;
}

bool IsValidNow(const X509* certificate) {
  return X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0 &&
         X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

absl::Status ProvesNothing(const char* why) {
  return absl::PermissionDeniedError(absl::StrCat("certificate: ", why));
}

}  // namespace

TlsKeyPair MakeCertificate(const Identity& identity, const CertificateOptions& options) {
  const OwnedKey key(EVP_EC_gen(options.curve.c_str()));
  const OwnedCertificate certificate(X509_new());
  MustHold(key != nullptr && certificate != nullptr);
  MustHold(X509_set_version(certificate.get(), X509_VERSION_3));
  SetSerialNumber(certificate.get());
  SetTime(X509_getm_notBefore(certificate.get()), options.valid_from);
  SetTime(X509_getm_notAfter(certificate.get()), options.valid_to);
  MustHold(X509_set_pubkey(certificate.get(), key.get()));
  AddName(certificate.get(), identity.peer());
  AddBinding(certificate.get(),
             options.binding.empty() ? MakeBinding(identity, key.get()) : options.binding);
  MustHold(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);

  const OwnedBio key_text(BIO_new(BIO_s_mem()));
  const OwnedBio certificate_text(BIO_new(BIO_s_mem()));
  MustHold(PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                         nullptr));
  MustHold(PEM_write_bio_X509(certificate_text.get(), certificate.get()));
  return {.private_key_pem = TextOf(key_text.get()),
          .certificate_pem = TextOf(certificate_text.get())};
}

absl::StatusOr<PeerId> PeerOfCertificate(std::string_view pem) {
  const absl::Cleanup clear_errors = [] { ERR_clear_error(); };
  const OwnedCertificate certificate = ParsePem(pem);
  if (certificate == nullptr) {
    return ProvesNothing("missing or damaged");
  }
  EVP_PKEY* const key = X509_get0_pubkey(certificate.get());
  if (key == nullptr || !IsP256(key)) {
    return ProvesNothing("its key is not of P-256");
  }
  if (!IsValidNow(certificate.get())) {
    return ProvesNothing("expired, or not valid yet: one of the clocks may be wrong");
  }
  const std::string binding = FindBinding(certificate.get());
  if (binding.size() != kBindingBytes) {
    return ProvesNothing("no peer vouches for it");
  }
  PeerId peer;
  Signature signature;
  std::memcpy(peer.bytes.data(), binding.data(), peer.bytes.size());
  std::memcpy(signature.data(), binding.data() + peer.bytes.size(), signature.size());
  if (!Verify(peer, MessageToSign(key), signature)) {
    return ProvesNothing("its peer did not vouch for this key");
  }
  return peer;
}

absl::StatusOr<std::string> BindingOfCertificate(std::string_view pem) {
  const OwnedCertificate certificate = ParsePem(pem);
  std::string binding = certificate != nullptr ? FindBinding(certificate.get()) : "";
  if (binding.empty()) {
    return absl::InvalidArgumentError("certificate: no peer vouches for it");
  }
  return binding;
}

std::string TlsNameOf(const PeerId& peer) {
  const std::string hex = peer.ToString();
  return absl::StrCat(hex.substr(0, 32), ".", hex.substr(32), std::string(kNameSuffix));
}

absl::StatusOr<PeerId> PeerOfTlsName(std::string_view name) {
  if (name.size() != 65 + kNameSuffix.size() || name.substr(65) != kNameSuffix || name[32] != '.') {
    return absl::InvalidArgumentError(
        absl::StrCat("TLS name '", std::string(name), "' is not a peer's"));
  }
  return PeerId::Parse(
      absl::StrCat(std::string(name.substr(0, 32)), std::string(name.substr(33, 32))));
}

}  // namespace fallow
