package codertest

import "net/http"

// targetKey: the user of the path only has to exist: a key is found by its id alone.
func (e *exchange) targetKey() (*apiKey, reply) {
	if a, no := e.target(); a == nil {
		return nil, no
	}
	k := e.keyByID(e.params["key"])
	if k == nil || !e.mayRead(k) {
		return nil, notFound()
	}
	return k, reply{}
}

func (e *exchange) mayRead(k *apiKey) bool {
	return e.caller.is("owner") || k.user == e.caller.id && e.key.reads("api_key")
}

func (e *exchange) getKey() reply {
	k, no := e.targetKey()
	if k == nil {
		return no
	}
	return jsonReply(http.StatusOK, e.keyJSON(k))
}

func (e *exchange) deleteKey() reply {
	k, no := e.targetKey()
	if k == nil {
		return no
	}
	e.dropKeys(func(other *apiKey) bool { return other == k })
	rep := noContent()
	if e.version < v2x31 {
		rep.header = jsonHeader()
	}
	return rep
}

// expireKey keeps the key, and its name.
func (e *exchange) expireKey() reply {
	k, no := e.targetKey()
	if k == nil {
		return no
	}
	if now := e.time(); now.Before(k.expires) {
		k.expires, k.updated = now, now
	}
	return noContent()
}
