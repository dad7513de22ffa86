package api

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"culvert/sbrp"
)

// The device token: a JWT (alg EdDSA) that a device signs for each request.
// Claims: iss and sub are the device's public key in base64url, aud the control
// plane's [Origin] as the device was told it, iat, exp, and a random jti that the
// server takes once.
const (
	DeviceTokenType   = "culvert-device+jwt" // header typ
	DeviceTokenTTL    = 30 * time.Second     // of the tokens that we sign: a request takes seconds
	MaxDeviceTokenTTL = 60 * time.Second     // exp - iat at most
	ClockSkew         = 60 * time.Second     // how far the device's clock may be off either way
	MaxDeviceTokenID  = 64                   // bytes of jti
)

// SignDeviceToken makes the token for one request. The key must be Ed25519.
func SignDeviceToken(key crypto.Signer, origin string, now time.Time) (string, error) {
	pub, err := devicePublicKey(key)
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": pub.String(),
		"sub": pub.String(),
		"aud": origin,
		"iat": now.Unix(),
		"exp": now.Add(DeviceTokenTTL).Unix(),
		"jti": rand.Text(),
	})
	t.Header["typ"] = DeviceTokenType
	raw, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign device token: %w", err)
	}
	return raw, nil
}

func devicePublicKey(key crypto.Signer) (sbrp.PublicKey, error) {
	if key == nil {
		return sbrp.PublicKey{}, errors.New("sign device token: there is no device key")
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return sbrp.PublicKey{}, fmt.Errorf("sign device token: key is %T, must be Ed25519", key.Public())
	}
	return sbrp.PublicKey(pub), nil
}
