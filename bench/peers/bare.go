package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// A bare server does nothing with a request but what any server in Go must: it is what the
// endpoint is held against. It refuses the JSON that the endpoint refuses, with the same library:
// what is repeated, unknown or no UTF-8. It answers with the same headers and the same object.

type bareInstance struct {
	Namespace    string            `json:"namespace,omitempty"`
	Service      string            `json:"service,omitempty"`
	ID           string            `json:"id,omitempty"`
	Addresses    []string          `json:"addresses"`
	Ports        []barePort        `json:"ports,omitempty"`
	Hostname     string            `json:"hostname,omitempty"`
	Weight       *int              `json:"weight,omitempty"`
	Priority     int               `json:"priority"`
	Zone         string            `json:"zone,omitempty"`
	Metadata     map[string]string `json:"metadata"`
	LeaseSeconds int               `json:"leaseSeconds"`
	Status       string            `json:"status"`
	Revision     uint64            `json:"revision"`
	RegisteredAt time.Time         `json:"registeredAt"`
	ExpiresAt    time.Time         `json:"expiresAt"`
	Names        []string          `json:"names"`
}

type barePort struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
}

// serveBare is the process of a bare server.
func serveBare(args []string) error {
	mux := http.NewServeMux()
	const instance = "PUT /v1/namespaces/{namespace}/services/{service}/instances/{id}"
	mux.HandleFunc(instance+"/heartbeat", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc(instance, bareRegister)
	mux.HandleFunc("GET /v1/namespaces", func(http.ResponseWriter, *http.Request) {})
	return http.ListenAndServe(args[0], mux)
}

// bareRegister reads an instance and answers with one as the registry does.
func bareRegister(w http.ResponseWriter, r *http.Request) {
	var i bareInstance
	if err := json.UnmarshalRead(r.Body, &i, json.RejectUnknownMembers(true)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	i.Namespace, i.Service, i.ID = r.PathValue("namespace"), r.PathValue("service"), r.PathValue("id")
	i.Hostname, i.Status, i.Revision = i.ID, "up", uint64(now.UnixMilli())
	i.RegisteredAt, i.ExpiresAt = now, now.Add(time.Duration(i.LeaseSeconds)*time.Second)
	service := i.Service + "." + i.Namespace + ".svc." + zone
	i.Names = []string{service}
	for _, p := range i.Ports {
		i.Names = append(i.Names, "_"+p.Name+"._"+p.Protocol+"."+service)
	}
	i.Names = append(i.Names, i.ID+"."+service)
	text, err := json.Marshal(i)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("ETag", `"`+strconv.FormatUint(i.Revision, 10)+`"`)
	w.WriteHeader(http.StatusCreated)
	w.Write(text)
}

// bare starts a bare server.
func (b *bench) bare(ctx context.Context) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{peer: peer{name: "bare"}, endpoint: address}
	if s.process, err = b.launch(ctx, b.self, "bare", address); err != nil {
		return nil, err
	}
	return s, s.waitEndpoint(ctx)
}
