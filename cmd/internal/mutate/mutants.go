package main

// mutant is a rule that matters, and a way to break it.
type mutant struct {
	rule     string
	file     string // below the module's root
	old, new string // old stands in the file exactly once
	tests    string // that should notice: a pattern for go test -run
}

var mutants = []mutant{
	{
		rule: "a request is signed", file: "hook/token.go", tests: "^TestRefus|^TestVerif|^TestRequests",
		old: "Verifier.Verify(body, c.Request().Header); err != nil", new: "Verifier.Verify(body, c.Request().Header); false && err != nil",
	},
	{
		rule: "an old request is refused", file: "hook/webhook/verify.go", tests: "^TestVerifyRefuses$",
		old: "case seconds < now-limit:", new: "case false:",
	},
	{
		rule: "a request of the future is refused", file: "hook/webhook/verify.go", tests: "^TestVerifyRefuses$",
		old: "case seconds > now+limit:", new: "case false:",
	},
	{
		rule: "each of the secrets verifies", file: "hook/webhook/verify.go", tests: "^TestVerifyAcceptsEitherSecret$",
		old: "range v.webhooks {", new: "range v.webhooks[:1] {",
	},
	{
		rule: "a weak secret is refused", file: "hook/webhook/verify.go", tests: "^TestNewVerifierRefusesBadSecrets$",
		old: "len(key) < minSecretBytes || ", new: "",
	},
	{
		rule: "a body is capped", file: "hook/intake.go", tests: "^TestBodyIsCapped$",
		old: "http.MaxBytesReader(w, r.Body, MaxBody)", new: "r.Body",
	},
	{
		rule: "no key for third-party clients", file: "hook/policy/policy.go", tests: "^TestSkipped|^TestPolicy",
		old: `c.ClientID != "" &&`, new: `c.ClientID == "none" &&`,
	},
	{
		rule: "what a token demands has to be known", file: "hook/accesstoken/verify.go", tests: "^TestTokensThatDemand",
		old: "; demands {", new: "; demands && false {",
	},
	{
		rule: "another issuer's token is refused", file: "hook/accesstoken/verify.go", tests: "^TestRefusedAccess|^TestIssuersOfReal",
		old: "!a.Issuers.Takes(read.Issuer)", new: "false",
	},
	{
		rule: "an origin's asterisk is one label", file: "hook/frontend/origin.go", tests: "^TestOriginsThatLookAlike$",
		old: "under && fits && isLabel(label)", new: "under && fits && (isLabel(label) || true)",
	},
	{
		rule: "Coder's own address is no app's", file: "hook/frontend/redirecturi.go", tests: "^TestAuthRedirectRefusesWhat",
		old: "if region.IsProxy() {", new: "if true || region.IsProxy() {",
	},
	{
		rule: "the key outlives the token", file: "hook/apikey/state.go", tests: "^TestJudge$|^TestKeyThatDies",
		old: "a.KeyExpiresAt.Before(tokenExpires)", new: "false",
	},
	{
		rule: "a key made for an older token outlives this one", file: "hook/provision/provision.go", tests: "^TestJobForAnOlderToken$",
		old: "&& j.expires.Before(r.Until)", new: "&& false",
	},
	{
		rule: "a key that ended meanwhile is not given out", file: "hook/keyring/keyring.go", tests: "^TestKeyThatEndsMeanwhile",
		old: "&& account.KeyExpiresAt.After(k.Now())", new: "",
	},
	{
		rule: "who got no key is tried again", file: "hook/provision/provision.go", tests: "^TestBacklogIsWorkedOff",
		old: "Answered: func() { p.later(r, err) }", new: "Answered: func() {}",
	},
	{
		rule: "who left gets no account and no key", file: "hook/provision/backlog.go", tests: "^TestBacklogForgetsWhoLeft$|^TestMintsForWhoLeft$",
		old: "case user.Left(now), !user", new: "case !user",
	},
	{
		rule: "who left long ago gets none either", file: "hook/provision/backlog.go", tests: "^TestMintsForWhoLeft$",
		old: ", !user.Exists && r.Known.Status == store.Offboarded:", new: ":",
	},
	{
		rule: "a key that was planted for who left is not handed out", file: "hook/apikey/state.go", tests: "^TestMintsForWhoLeft$",
		old: "case a.Status == store.Offboarded:", new: "case false && a.Status == store.Offboarded:",
	},
	{
		rule: "no app opens for who left", file: "hook/frontend/redirect.go", tests: "^TestNoAppOpensForWhoHasLeft$",
		old: "r.refuseLeaver(ctx, c, account); err != nil {", new: "r.refuseLeaver(ctx, c, account); false && err != nil {",
	},
	{
		rule: "too many who are missing are left alone", file: "hook/reconcile/walk.go", tests: "^TestThrowAwayAccountsBlockNothing$|^TestReconcilingRefuses",
		old: "return waits || w.withhold, nil", new: "return waits, nil",
	},
	{
		rule: "who was seen to leave is not withheld", file: "hook/reconcile/walk.go", tests: "^TestThrowAwayAccountsBlockNothing$",
		old: "if user.Exists || user.Departed {", new: "if user.Exists {",
	},
	{
		rule: "who was seen to leave is not waited for", file: "hook/provision/persist.go", tests: "^TestDeletedWhileAKeyIsMade$",
		old: "(waited > p.PersistPatience || p.departed(ctx, j.User))", new: "(waited > p.PersistPatience)",
	},
	{
		rule: "a departure that fails is tried again", file: "hook/reconcile/departures.go", tests: "^TestAPoisonedDepartureHoldsUpNobody$",
		old: "if wait > 0 || err != nil {", new: "if wait > 0 && err == nil {",
	},
	{
		rule: "a forged departure does nothing", file: "hook/reconcile/departures.go", tests: "^TestForgedDeparturesDoNothing$",
		old: "case time.Since(d.At) > r.LeaseTTL:", new: "default:",
	},
	{
		rule: "workspaces that are not down yet are looked at again", file: "hook/reconcile/offboard.go", tests: "^TestWorkspaceThatIsJustStarting$",
		old: "case up:", new: "case up && false:",
	},
	{
		rule: "sessions in apps end", file: "hook/reconcile/offboard.go", tests: "^TestAppSessionsOfLinkedAccountsEnd$",
		old: "return w.Coder.LogOut(ctx, key)", new: "_ = key\n\t\treturn nil",
	},
	{
		rule: "a sign-up that was rolled back gets no account", file: "hook/provision/backlog.go", tests: "^TestBacklogForgetsWhoLeft$",
		old: "case waited && !user.Exists && now.Sub(r.since) > p.PersistPatience:", new: "case false:",
	},
	{
		rule: "storing holds up nobody", file: "hook/provision/job.go", tests: "^TestBacklogGoesOn",
		old: "j.finish(key, err)\n\tp.freeBackground(j)", new: "j.finish(key, err)",
	},
	{
		rule: "Coder's rate limit is kept to", file: "hook/pace/limiter.go", tests: "^TestPace",
		old: "return p.ask()\n}\n\n// Now is", new: "return nil\n}\n\n// Now is",
	},
	{
		rule: "a conflict is not tried again", file: "hook/provision/backlog.go", tests: "^TestLater",
		old: "errors.Is(why, account.ErrConflict) || ", new: "errors.Is(why, account.ErrConflict) && false || ",
	},
	{
		rule: "a user waits once", file: "hook/provision/backlog.go", tests: "^TestLater",
		old: "p.backlog.byKey[r.key()]; ok {", new: "p.backlog.byUser[r.User]; ok && false {",
	},
	{
		rule: "a sign-in keeps to the pace", file: "hook/pace/limiter.go", tests: "^TestPace",
		old: "if delay := turn.Delay(); delay > 0 {", new: "if delay := turn.Delay(); delay > time.Hour {",
	},
	{
		rule: "nobody waits for the backlog", file: "hook/account/create.go", tests: "^TestNobodyWaitsForTheBacklog$",
		old: "return m.Pace.Now()", new: "return m.Pace.Wait(context.Background())",
	},
	{
		rule: "who waits is not forgotten", file: "hook/provision/backlog.go", tests: "^TestBacklogKeeps",
		old: "\t\tp.later(r, ErrPending)", new: "\t\t_ = ErrPending",
	},
	{
		rule: "a conflict hands out nothing", file: "hook/keyring/keyring.go", tests: "^TestShortKeyIsNotHandedOutOnConflict$",
		old: " && provision.StatusOf(found.Err) != provision.StatusConflict", new: "",
	},
	{
		rule: "an account of another e-mail is not ours", file: "hook/account/create.go", tests: "^TestForeign|^TestTakenUsernames$",
		old: "if strings.ToLower(user.Email) != email {", new: "if false {",
	},
	{
		rule: "an account with roles is not ours", file: "hook/account/create.go", tests: "^TestAnAccountWithARoleIsNotTaken$",
		old: "m.Roles.Of(ctx, user); err != nil || len(roles) > 0 {", new: "m.Roles.Of(ctx, user); err != nil || len(roles) > 99 {",
	},
	{
		rule: "a promoted account gets no key", file: "hook/account/account.go", tests: "^TestAPromotedAccountGetsNoKey$",
		old: "return User{User: user}, m.Roles.Refuse(ctx, user)", new: "return User{User: user}, nil",
	},
	{
		rule: "with single sign-on only confirmed addresses get an account", file: "hook/account/create.go", tests: "^TestUnconfirmedAddressGetsNoAccount$",
		old: "case err != nil || confirmed:", new: "case err != nil || confirmed || true:",
	},
	{
		rule: "a planted key is not handed out", file: "hook/apikey/state.go", tests: "^TestJudge$|^TestAPlantedKey",
		old: "case !ledgers && HasOwn(a):", new: "case false:",
	},
	{
		rule: "a row that somebody else wrote is not believed", file: "hook/apikey/state.go", tests: "^TestNobodyBorrowsAnAccount$|^TestSealing$",
		old: "a.Distrust() != nil, ", new: "",
	},
	{
		rule: "a seal that does not fit is broken", file: "store/seal.go", tests: "^TestARowThatSomebodyElseChangedIsNotBelieved$",
		old: "\treturn SealBroken\n", new: "\treturn SealGood\n",
	},
	{
		rule: "an encrypted key opens for its user only", file: "store/encrypt.go", tests: "^TestForgedValuesOpenNothing$",
		old: `"\n"), user[:]...)`, new: `"\n"), user[:0]...)`,
	},
	{
		rule: "what another replica encrypted is not taken for planted", file: "store/encryptionkeys.go", tests: "^TestAKeyOfAnotherReplicaIsLocked$",
		old: "case !row.Noted:", new: "case !row.Noted || true:",
	},
	{
		rule: "a key that can't be read is not overwritten", file: "hook/provision/job.go", tests: "^TestABacklogOverwritesNoLockedKey$",
		old: "if found.Encryption == store.Locked {", new: "if false {",
	},
	{
		rule: "nothing is encrypted that the ledger does not know", file: "store/reencrypt_sets.go", tests: "^TestReencryptingVouchesForNothing$",
		old: "encMark) && !row.Known:", new: "encMark) && false:",
	},
	{
		rule: "what was written is read back", file: "store/key.go", tests: "^TestStoreKeyIsRefusedByATableThatKeepsSomethingElse$",
		old: "return key.String != secret", new: "return false",
	},
	{
		rule: "a retired key that is not ours stays", file: "hook/apikey/retire.go", tests: "^TestOnlyOurTokensAreDeleted$",
		old: "account.CoderUserID == uuid.Nil || account.CoderUserID != key.CoderUserID {", new: "false {",
	},
	{
		rule: "an account of another ledger row is not ours", file: "hook/account/create.go", tests: "^TestAccountOfAnotherLedgerRow",
		old: "return owner == r.UserID, nil", new: "return owner == r.UserID || true, nil",
	},
	{
		rule: "the profile's key belongs to its user", file: "hook/rotation/adopt.go", tests: "^TestKeyInTheProfileThatIsNotTheUsers$",
		old: "if !named && !strings.EqualFold(user.Email, r.Email) {", new: "if false {",
	},
	{
		rule: "nothing is written before the answer", file: "hook/provision/persist.go", tests: "^TestKeyIsStoredAfterTheAnswer$",
		old: "case <-j.answered:", new: "case <-j.answered:\n\tdefault:",
	},
	{
		rule: "who joins the backlog's work is answered first", file: "hook/provision/provision.go", tests: "^TestMintThatJoins",
		old: "j.awaited = j.awaited || !r.unattended()", new: "",
	},
	{
		rule: "look again under the lease", file: "hook/provision/job.go", tests: "^TestLooksAgainUnderTheLease$",
		old: "\tkey, err = p.lookAgain(ctx, j)\n", new: "",
	},
	{
		rule: "another connection is tried after any FATAL", file: "store/judge.go", tests: "^TestJudge$|^TestIdleSessionsMayTimeOut$",
		old: "case isFatal(err):", new: "case false:",
	},
	{
		rule: "who is refused a connection waits for an open one", file: "store/again.go", tests: "^TestFewerConnectionsThanThePoolWants$",
		old: "open > 0 {", new: "open > 100 {",
	},
	{
		rule: "the lease fences the ledger", file: "store/ledger.go", tests: "^TestAStaleOwnerChangesNothing$",
		old: "lease_owner = $2`\n\n// RecordKey", new: "$2 <> ''`\n\n// RecordKey",
	},
	{
		rule: "reconciling looks again under the lease", file: "hook/reconcile/walk.go", tests: "^TestReconcilingLooksAgainUnderTheLease$",
		old: "|| users[0].Living(w.Now()) != here {", new: "{",
	},
	{
		rule: "work that was broken off is looked into", file: "store/page.go", tests: "^TestEntriesTellOfWork$",
		old: "greatest(a.updated_at, a.worked_at, a.lease_until) as changed_at", new: "a.updated_at as changed_at",
	},
	{
		rule: "a look comes after what it looks for is stale", file: "hook/reconcile/walk.go", tests: "^TestCoderIsAskedOnlyWhereSomethingHasHappened$",
		old: "e.LookedAt.Before(stale) && stale.Before(w.Now())", new: "e.LookedAt.Before(stale)",
	},
	{
		rule: "a look that failed is none", file: "hook/reconcile/walk.go", tests: "^TestALookThatFailedIsRepeated$",
		old: "if err != nil || w.dry {\n\t\treturn err\n\t}\n\treturn w.Register.Looked", new: "if w.dry {\n\t\treturn err\n\t}\n\treturn w.Register.Looked",
	},
	{
		rule: "nobody else's token is deleted", file: "hook/reconcile/walk.go", tests: "^TestNobodyElsesTokenIsDeleted$",
		old: "token.UserID != a.CoderUserID || ", new: "",
	},
	{
		rule: "the owner's successor is tried first", file: "hook/owner/successor.go", tests: "^TestOwnersSuccessorIsTriedFirst$|^TestOwnersTokenKeepsItsScopes$",
		old: "if err = k.resembles(ctx, token, id); err == nil {", new: "if err == nil {",
	},
	{
		rule: "no redirect is followed", file: "coderclient/client.go", tests: "^TestNoRedirects$",
		old: "plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }", new: "plain.CheckRedirect = nil",
	},
	{
		rule: "no cookie is kept", file: "coderclient/client.go", tests: "^TestNoCookies$",
		old: "\tplain.Jar = nil\n", new: "",
	},
	{
		rule: "no error holds a key", file: "coderclient/fail.go", tests: "^TestNoSecretsInErrors$",
		old: "\te.scrub(secrets)\n", new: "",
	},
	{
		rule: "version fails where the database lacks something", file: "cmd/coderhook/version.go", tests: "^TestVersionComparesTheSchema$",
		old: "err != nil || len(schema.Missing) == 0", new: "true",
	},
	{
		rule: "faults of OTLP count only where traces are sent", file: "cmd/internal/config/otlp.go", tests: "^TestOTLPFaults$",
		old: `exporter != "otlp"`, new: `exporter == "otlp" && false`,
	},
	{
		rule: "a token that is to have no key has none", file: "hook/token.go", tests: "^TestKeyStaysOutOfClaims$",
		old: "if found.OutOfClaims {", new: "if found.OutOfClaims && false {",
	},
	{
		rule: "who has a second factor gets what needs one", file: "hook/rules/policy.go", tests: "^TestTheFirstRuleThatHoldsDecides$",
		old: "return d.Give != nil && !d.LowAAL", new: "return d.Give != nil",
	},
	{
		rule: "a key that may do more than the rule gives is not handed out", file: "hook/apikey/mint.go", tests: "^TestScopesThatCoderDoesNotKnow$",
		old: "if made.String() == given.String() {", new: "if true {",
	},
	{
		rule: "a key is ended that was made with more than the rules give now", file: "hook/reconcile/ineligible.go", tests: "^TestNoChangeOfPolicyLeavesAKeyAlive$|^TestPolicyThatNarrows$",
		old: "&& !slices.Contains(now.Grants, a.KeyGrant)", new: "&& false && slices.Contains(now.Grants, a.KeyGrant)",
	},
	{
		rule: "it is written down before a token carries a key", file: "hook/keyring/keyring.go", tests: "^TestReplicasThatDisagree$|^TestNoKeyWithoutTheMark$",
		old: "|| w.OutOfClaims || !found.Unseen {", new: "|| w.OutOfClaims || true || !found.Unseen {",
	},
	{
		rule: "nor is it missed while the key is stored", file: "hook/provision/provision.go", tests: "^TestTokenComesWhileTheKeyIsStored$",
		old: "return !r.OutOfClaims && j.decided && !j.carried", new: "return false && !r.OutOfClaims && j.decided && !j.carried",
	},
	{
		rule: "keys that tokens have carried are replaced", file: "hook/apikey/state.go", tests: "^TestJudge$|^TestKeysAreTakenOutOfClaims$",
		old: "case r.OutOfClaims && !a.KeyUnseen:", new: "case false && r.OutOfClaims && !a.KeyUnseen:",
	},
	{
		rule: "a session that was signed out begins nothing", file: "hook/gateway/gateway.go", tests: "^TestEndedSessionBeginsNothing$",
		old: "if c.over() {", new: "if c.over() && false {",
	},
	{
		rule: "what all users have open through the gateway is bounded", file: "hook/quota/quota.go", tests: "^TestLimitOfAll$",
		old: "case u.running >= l.All:", new: "case false:",
	},
	{
		rule: "the gateway leaves sign-ins half of a shared port", file: "cmd/internal/serve/ports.go", tests: "^TestGatewayLeavesRoomForSignIns$",
		old: "share = min(share, sharedGateway)", new: "share = min(share, maxGateway)",
	},
	{
		rule: "a stream holds no buffer for downloads", file: "hook/gateway/proxy.go", tests: "^TestMemoryOfStreams$",
		old: "if b.c.stream.Load() {", new: "if false {",
	},
	{
		rule: "the doctor does not take Coder for the gateway", file: "cmd/internal/doctor/gateway.go", tests: "^TestDoctorOnWhatIsNotTheGateway$",
		old: "got.Status != http.StatusUnauthorized || !isOurs(got)", new: "got.Status == 0",
	},
	{
		rule: "a chained hook gives no key that policy refuses", file: "hook/token.go", tests: "^TestChainedHookGivesNoKeyThatPolicyRefuses$",
		old: "s.Policy.Skip(ev.Asked)", new: "s.Policy.Skip(ev.Deciding)",
	},
	{
		rule: "what a chained hook did stays only with its claims", file: "store/chain.go", tests: "^TestChainedHookRefuses$",
		old: "if err := accept(text); err != nil {", new: "if err := accept(text); err != nil && tx.Commit(ctx) == nil {",
	},
	{
		rule: "no key is made ahead while everybody could read it", file: "cmd/coderhook/provision.go", tests: "^TestProvisionMakesNoReadableKeys$",
		old: "len(found.Readers()) > 0", new: "len(found.Readers()) > 99",
	},
	{
		rule: "a clock that is put back lets no old delivery in", file: "hook/deliveries.go", tests: "^TestDeliveries$",
		old: ".Abs() <= repeatable", new: " <= repeatable",
	},
	{
		rule: "a condition that may cost too much is counted", file: "hook/rules/expr.go", tests: "^TestCostIsCountedWhereItMayBeTooMuch$",
		old: "estimate.Max > maxCost", new: "estimate.Max/99 > maxCost",
	},
	{
		rule: "of duplicate claims the last one counts", file: "hook/webhook/event.go", tests: "^FuzzParseEvent$",
		old: "ev.Claims, parts = nil, (claims.Parts{}); r.Kind() == '{'", new: "ev.Claims == nil && r.Kind() == '{'",
	},
	{
		rule: "revoke makes no key that everybody could read", file: "cmd/coderhook/parts.go", tests: "^TestRevokeMakesNoKeyThatEverybodyCanRead$",
		old: "ring.Provisioner.MayMake = mayMake", new: "_ = mayMake",
	},
	{
		rule: "a session that is given less does not meet the key of one that is given more", file: "hook/gateway/keys.go", tests: "^TestSessionsOfOtherKindsHaveOtherKeys$",
		old: "return keyOf{c.who.User, c.who.Kind}", new: `return keyOf{c.who.User, ""}`,
	},
	{
		rule: "a mint does not take what is being made for another kind of session", file: "hook/provision/provision.go", tests: "^TestSessionsOfBothKindsAtOnce$",
		old: "if j.Set != r.Set || p.tooLate(j, r) {", new: "if p.tooLate(j, r) {",
	},
	{
		rule: "an encrypted key opens in its set only", file: "store/sets.go", tests: "^TestKeysOpenOnlyInTheirSet$",
		old: `purpose("set " + set)`, new: `purpose("set")`,
	},
	{
		rule: "the key of a set that no rule gives ends", file: "hook/reconcile/ineligible.go", tests: "^TestASetThatNoRuleGivesAnyMore$",
		old: "!slices.Contains(now.Sets, key.Set) || ", new: "",
	},
}
