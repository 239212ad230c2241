package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

const (
	mostOperations = 1000  // in a batch
	leaseSeconds   = 86400 // nobody sends heartbeats while queries are measured
)

// body is the registration of an instance.
func (i instanceAt) body() string {
	return fmt.Sprintf(`{"addresses":[%q],"ports":[{"name":"http","protocol":"tcp","port":%d}],"metadata":{"version":"1.4.2"},"leaseSeconds":%d}`,
		i.address(), port, leaseSeconds)
}

func (i instanceAt) path() string {
	return fmt.Sprintf("/v1/namespaces/%s/services/%s/instances/%s", i.namespace(), i.name(), i.id())
}

// fill registers the world, so many instances at once.
func fill(ctx context.Context, s *server) error {
	var operations bytes.Buffer
	n := 0
	send := func() error {
		if n == 0 {
			return nil
		}
		body := append(append([]byte(`{"operations":[`), operations.Bytes()...), "]}"...)
		n = 0
		operations.Reset()
		return post(ctx, "http://"+s.endpoint+"/v1/batch", body)
	}
	for _, at := range s.all() {
		for _, i := range at.instances() {
			if n > 0 {
				operations.WriteByte(',')
			}
			operations.WriteString(i.operation())
			if n++; n == mostOperations {
				if err := send(); err != nil {
					return err
				}
			}
		}
	}
	return send()
}

// operation is the registration of an instance in a batch.
func (i instanceAt) operation() string {
	return fmt.Sprintf(`{"op":"register","namespace":%q,"service":%q,"id":%q,"instance":%s}`, i.namespace(), i.name(), i.id(), i.body())
}

func post(ctx context.Context, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: got %s, want 200: %.500s", url, response.Status, answer)
	}
	return nil
}
