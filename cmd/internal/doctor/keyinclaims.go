package doctor

// checkKeyInClaims tells where nobody but who reads the profiles could use a key.
func (d *Doctor) checkKeyInClaims() {
	const check = "keys in claims"
	switch {
	case !d.config.Provisioning.OutOfClaims: // as ever
	case !d.config.Gateway.On:
		d.warn(check, cure{do: "set GATEWAY=on, or KEY_IN_CLAIMS=true"}, "tokens carry no keys, and the gateway, which uses them in their place, is off: only who reads the profiles can use one")
	default:
		d.ok(check, "none: pages use Coder through the gateway")
	}
}
